"""Padding, cropping, flipping and normalising whole batches; pure, on the device of the tensors."""

import torch
from torch import Tensor

from repro.spec import Augment

PADDING = 4  # the field's recipe for CIFAR: He et al. 2016 (arXiv 1512.03385), section 4.2
PLACES = 2 * PADDING + 1  # of a crop, in each direction


def num_views(augment: Augment) -> int:
    """How many views of an image there are, where the augmentation is finite; else 0."""
    return {"crop-flip": 2 * PLACES**2, "crop": PLACES**2, "none": 1}.get(augment, 0)


def view_numbers(offsets: Tensor, flips: Tensor, augment: Augment) -> Tensor:
    """Each view's number in 0..num_views - 1: ``offsets`` [N, 2], ``flips`` [N] -> [N] int64."""
    if augment == "none":
        return torch.zeros(len(offsets), dtype=torch.int64)
    places = offsets[:, 0] * PLACES + offsets[:, 1]
    return 2 * places + flips if augment == "crop-flip" else places


def view(number: int, augment: Augment) -> tuple[int, int, bool]:
    """Row, column and flip of a view: the inverse of ``view_numbers``."""
    if augment == "none":
        return PADDING, PADDING, False
    place, flip = divmod(number, 2) if augment == "crop-flip" else (number, 0)
    return *divmod(place, PLACES), bool(flip)


def draw_crops(
    num_images: int, augment: Augment, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Offsets [N, 2] int64 (row, column, 0..8) and flips [N] bool, on the CPU.

    "crop-flip" draws both, "crop" offsets only (digits: a mirrored 2 is no 2), "none" takes the
    middle of every image.
    """
    offsets = torch.full((num_images, 2), PADDING)
    flips = torch.zeros(num_images, dtype=torch.bool)
    if augment in ("crop-flip", "crop"):
        offsets = torch.randint(PLACES, (num_images, 2), generator=generator)
    if augment == "crop-flip":
        flips = torch.randint(2, (num_images,), generator=generator).bool()
    return offsets, flips


def pad(pixels: Tensor, pixels_each_side: int = PADDING) -> Tensor:
    """[N, S, S, 3] uint8 with a border that is black before normalising: [N, S + 8, S + 8, 3]."""
    border = pixels_each_side
    count, height, width, channels = pixels.shape
    padded = pixels.new_zeros(count, height + 2 * border, width + 2 * border, channels)
    padded[:, border : border + height, border : border + width] = pixels
    return padded


def crop_flip(padded: Tensor, indices: Tensor, offsets: Tensor, flips: Tensor) -> Tensor:
    """Crop, then mirror where ``flips``: [B, S, S, 3] uint8, in one gather.

    ``padded`` [N, S + 8, S + 8, 3], ``indices`` [B] int64 into it, ``offsets`` [B, 2] int64 (row,
    column of the upper left corner, 0..8), ``flips`` [B] bool; all on one device.
    """
    height, width = padded.shape[1:3]
    side = height - 2 * PADDING
    places = torch.arange(side, device=padded.device)
    rows = offsets[:, :1] + places  # [B, S]
    columns = offsets[:, 1:] + torch.where(flips[:, None], side - 1 - places, places)  # [B, S]
    first = (indices[:, None] * height + rows) * width  # the first pixel of each row
    chosen = (first[:, :, None] + columns[:, None, :]).flatten()
    # index_select over RGB triples: 0.2 ms for 64 images on a CPU core, fancy indexing 1.1 ms.
    return padded.view(-1, 3).index_select(0, chosen).view(-1, side, side, 3)


def normalise(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """(pixels / 255 - mean) / std: [B, 3, H, W] float32 in the channels_last memory format.

    ``pixels`` [B, H, W, 3] uint8; ``mean``, ``std`` [3] float32 on the same device. The operations
    are those of torchvision's ToTensor and Normalize in their order, so the bits are the same.
    """
    height, width = pixels.shape[1:3]
    # A tensor, not the number 255: CUDA multiplies by the reciprocal of a number.
    scale = torch.full((1,), 255.0, device=pixels.device)
    # Tiled over a whole image, the subtraction and division are vectorised: 4 times faster on CPU.
    flat = pixels.flatten(1).to(torch.float32).div_(scale)
    flat = flat.sub_(mean.repeat(height * width)).div_(std.repeat(height * width))
    return flat.view(pixels.shape).permute(0, 3, 1, 2)
