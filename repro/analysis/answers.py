"""What finished networks answer to images that are given as pixels; the same for every measurement.

Everything is float32 in eval mode, in whole batches of one size, on the networks' device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from repro.data.augment import normalise
from repro.data.batches import evaluation_batch_size
from repro.data.dataset import rank_in_class
from repro.errors import UserError

Pixels = NDArray[np.uint8]
Draw = Callable[[np.random.Generator], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Normalisation:
    """``mean``, ``std``: of each channel of the training pixels, in [0, 1]."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def of_pixels(self, pixels: Tensor) -> Tensor:
        """Pixels [B, H, W, 3] uint8 as networks take them: [B, 3, H, W] float32."""
        return normalise(pixels, *self._on(pixels))

    def of_shares(self, shares: Tensor) -> Tensor:
        """Images [B, 3, H, W] float32 in [0, 1] as networks take them; differentiable."""
        mean, std = (channels.reshape(3, 1, 1) for channels in self._on(shares))
        return (shares - mean) / std

    def _on(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = (torch.tensor(c, dtype=torch.float32) for c in (self.mean, self.std))
        return mean.to(images.device), std.to(images.device)


def device_of(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


@torch.inference_mode()
def logits_of(model: nn.Module, pixels: Tensor, normalisation: Normalisation) -> Tensor:
    """[N, K] float32 on the CPU, of pixels [N, H, W, 3] uint8. The network is left in eval mode."""
    model.eval()
    device = device_of(model)
    parts = pixels.split(evaluation_batch_size(device))
    return torch.cat(
        [model(normalisation.of_pixels(p.to(device))).logits.float().cpu() for p in parts]
    )


@torch.inference_mode()
def features_of(model: nn.Module, pixels: Tensor, normalisation: Normalisation) -> Tensor:
    """The input of the classifier, [N, D] float32 on the CPU; otherwise as ``logits_of``.

    Raises UserError for a network that does not give it.
    """
    model.eval()
    device = device_of(model)
    found = []
    for part in pixels.split(evaluation_batch_size(device)):
        pooled = model(normalisation.of_pixels(part.to(device))).pooled
        if pooled is None:
            raise UserError(f"{type(model).__name__} gives no features: its outputs lack `pooled`")
        found.append(pooled.float().cpu())
    return torch.cat(found)


def accuracy(logits: Tensor, labels: ArrayLike) -> float:
    """Top-1 in percent."""
    return float(np.mean(logits.argmax(dim=1).numpy() == np.asarray(labels)) * 100)


def spread_positions(
    labels: ArrayLike, count: int, classes: Sequence[int] = ()
) -> NDArray[np.int64]:
    """At most ``count`` positions, as many of each class as can be, in rising order.

    Of each class the first images: positions are sorted by hash, so this is a random choice, and
    a smaller ``count`` chooses among those of a larger one. ``classes``: the only ones taken.
    Raises UserError where ``count`` is below 1 or nothing is left.
    """
    values = torch.as_tensor(np.asarray(labels))
    rank = rank_in_class(values)[0].numpy()
    allowed = np.isin(values.numpy(), list(classes)) if classes else np.ones(len(rank), bool)
    candidates = np.flatnonzero(allowed)
    if count < 1 or not len(candidates):
        raise UserError(f"{count} of {len(candidates)} images: at least 1 is needed")
    by_rank = candidates[np.argsort(rank[candidates], kind="stable")]
    return np.sort(by_rank[:count]).astype(np.int64)


def by_image(count: int, seed: int, draw: Draw) -> NDArray[np.float32]:
    """What ``draw`` draws for images 0..count - 1, each from its own generator: [count, ...].

    So an image's share does not depend on how many others there are.
    """
    return np.stack([draw(np.random.default_rng([seed, image])) for image in range(count)])
