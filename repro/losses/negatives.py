"""Images of other classes, drawn on the device without a generator."""

import torch
from torch import Tensor, nn

from repro.errors import UserError

# SplitMix64: Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators", with the
# constants of its 64-bit mixing function, as the signed numbers that PyTorch has.
GOLDEN = 0x9E3779B97F4A7C15 - 2**64
MIX = ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64))


class Negatives(nn.Module):
    """Positions of ``count`` training images of other classes for each image of a batch.

    A function of the ``seed`` (drawn when this is made), of the ``step`` (whoever uses a draw adds
    1 to it), of the image and of the place in the row: the same numbers on every device, in an
    interrupted run, and in a recorded step. Uniform, with replacement (to within N / 2^32).
    """

    order: Tensor
    start: Tensor
    size: Tensor
    seed: Tensor
    step: Tensor

    def __init__(self, labels: Tensor, count: int) -> None:
        """``labels`` [N] of the training set. Raises UserError where they are all alike."""
        super().__init__()
        self.count = count
        labels = labels.cpu()
        sizes = torch.bincount(labels, minlength=1)  # [K]
        if len(labels) and sizes.max() == len(labels):
            raise UserError("CRD needs images of two classes or more")
        starts = sizes.cumsum(0) - sizes
        self.register_buffer("order", labels.argsort(stable=True))  # [N] positions, class by class
        self.register_buffer("start", starts[labels])  # [N] where an image's class begins there
        self.register_buffer("size", sizes[labels])  # [N] the images of its class
        self.register_buffer("seed", torch.randint(2**62, ()))
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def forward(self, indices: Tensor) -> Tensor:
        """``indices`` [B] of the batch's images -> [B, count] of their negatives, int64."""
        place = torch.arange(1, self.count + 1, device=indices.device)
        stream = mixed(mixed(self.seed + self.step * GOLDEN) + (indices + 1) * GOLDEN)  # [B]
        numbers = upper_half(mixed(stream[:, None] + place * GOLDEN))  # [B, count]
        size, start = self.size[indices, None], self.start[indices, None]
        ranks = (numbers * (len(self.order) - size)) >> 32  # among the images of other classes
        ranks += (ranks >= start) * size  # jump over the image's own class
        return self.order[ranks]


def mixed(x: Tensor) -> Tensor:
    """SplitMix64's mixing of int64 numbers, but for its last step (of the 32 upper bits it would
    change one)."""
    for shift, factor in MIX:
        x = (x ^ unsigned_shift(x, shift)) * factor
    return x


def upper_half(x: Tensor) -> Tensor:
    """The upper 32 bits of int64 numbers, from 0 to 2^32 - 1."""
    return unsigned_shift(x, 32)


def unsigned_shift(x: Tensor, bits: int) -> Tensor:
    """PyTorch's shift to the right repeats the sign; this one fills up with zeros."""
    return (x >> bits) & (2 ** (64 - bits) - 1)
