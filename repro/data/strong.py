"""The strong view of an image: crop, flip, two random operations, cutout; in whole batches.

The second view of Jin et al. 2023 (CVPR, "Multi-Level Logit Distillation"): RandAugment(2, 10) and
cutout of their mdistiller/dataset/cifar100.py, which is RandAugment (Cubuk et al. 2020, arXiv
1909.13719) as in FixMatch: every strength is uniform in its range, and the magnitude 10 goes
unused. The lists, ranges and fill below are those of the file's copies in
sunshangquan/logit-standardization-KD (2ba3954) and peanutshu11/Multi-Level-Logit-Distillation
(0ae2d0b), which agree. All of it works on bytes, before normalising.

What happens to an image is a row of numbers, its *recipe*, worked out on the CPU once an epoch;
``strong_view`` follows the recipes on the device, with the same operations whatever they say: an
image whose operation is another one passes unchanged. The results are Pillow's (13.0), byte for
byte. No number meets ``torch.where`` on the device: there it would be copied from the host.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.data.augment import crop_flip, draw_crops
from repro.spec import Augment

OPERATIONS = {  # name: the range of its strength
    "autocontrast": (0.0, 1.0),
    "brightness": (0.05, 0.95),
    "color": (0.05, 0.95),
    "contrast": (0.05, 0.95),
    "equalize": (0.0, 1.0),
    "identity": (0.0, 1.0),
    "posterize": (4.0, 8.0),  # bits, rounded down
    "rotate": (-30.0, 30.0),  # degrees
    "sharpness": (0.05, 0.95),
    "shear-x": (-0.3, 0.3),
    "shear-y": (-0.3, 0.3),
    "solarize": (0.0, 256.0),
    "translate-x": (-0.3, 0.3),  # of the side
    "translate-y": (-0.3, 0.3),
}
KINDS = {name: kind for kind, name in enumerate(OPERATIONS)}
SLOTS = 2  # operations an image
LARGEST_HOLE = 0.5  # of the side
FILL = (125, 123, 114)  # of the hole
FIXED = 65536  # Pillow's affine transform counts pixels in 1/65536
HEAD = 7  # columns of a recipe for crop, flip and hole; then come the operations
WIDTHS = (1, 6, 1, 1, 1)  # columns of the parts of a Slot
SLOT = sum(WIDTHS)

LUMA = (19595, 38470, 7471)  # Pillow's convert("L"), in 1/65536
SMOOTH_CENTRE, SMOOTH_SUM = 5, 13  # Pillow's ImageFilter.SMOOTH: eight neighbours of weight 1


class Slot(NamedTuple):
    """One operation an image. All are [B, 1, 1, 1] float32, but ``affine`` [B, 6, 1, 1] int32.

    ``affine``: the input's column, then its row, in 1/65536 pixels: per output column, per output
    row, at the origin. ``alphas``: the image's share in a blend. ``steps``: of grey levels.
    ``thresholds``: the levels from here on are inverted.
    """

    kinds: Tensor
    affine: Tensor
    alphas: Tensor
    steps: Tensor
    thresholds: Tensor


def draw_recipes(
    num_images: int, augment: Augment, generator: torch.Generator, *, side: int
) -> Tensor:
    """A recipe an image of ``side`` x ``side`` pixels, [N, 27] float32 on the CPU.

    Crop and flip are as ``augment`` says.
    """
    offsets, flips = draw_crops(num_images, augment, generator)
    kinds = torch.randint(len(OPERATIONS), (num_images, SLOTS), generator=generator)
    shape = (num_images, SLOTS + 3)
    numbers = torch.rand(shape, generator=generator, dtype=torch.float64)
    slots = [operation(kinds[:, i], numbers[:, i], side) for i in range(SLOTS)]
    holes = hole(numbers[:, SLOTS:], side)
    return torch.cat([offsets, flips[:, None], holes, *slots], dim=1).float()


def operation(kinds: Tensor, numbers: Tensor, side: int) -> Tensor:
    """``kinds`` [N] int64, ``numbers`` [N] float64 in [0, 1) -> columns of a recipe [N, 10]."""
    low, high = torch.tensor(list(OPERATIONS.values()), dtype=torch.float64)[kinds].T
    strengths = low + (high - low) * numbers

    def where(name: str, values: Tensor, neutral: float = 0.0) -> Tensor:
        return torch.where(kinds == KINDS[name], values, neutral)

    blends = [KINDS[name] for name in ("brightness", "color", "contrast", "sharpness")]
    alphas = torch.where(torch.isin(kinds, torch.tensor(blends)), strengths, 1.0)
    steps = where("posterize", 2.0 ** (8 - strengths.floor()), 1.0)
    thresholds = where("solarize", strengths.ceil(), 256.0)
    cos = where("rotate", torch.cos(torch.deg2rad(strengths)), 1.0)
    sin = where("rotate", torch.sin(torch.deg2rad(strengths)))
    across = (cos, where("shear-x", strengths) - sin)
    down = (where("shear-y", strengths) + sin, cos)
    # A rotation is around the middle; a pixel is where its middle is.
    column = side / 2 * (1 - cos + sin) + side * where("translate-x", strengths)
    row = side / 2 * (1 - cos - sin) + side * where("translate-y", strengths)
    affine = (*across, column + sum(across) / 2, *down, row + sum(down) / 2)
    fixed = [torch.floor(FIXED * part + 0.5) for part in affine]
    return torch.stack([kinds.double(), *fixed, alphas, steps, thresholds], dim=1)


def hole(numbers: Tensor, side: int) -> Tensor:
    """``numbers`` [N, 3] in [0, 1): size and centre -> first and last columns, rows: [N, 4].

    The centre is in (1, side], since numpy's uniform(32) is that from 32 to 1.
    """
    size = LARGEST_HOLE * side * numbers[:, :1]
    centre = side - (side - 1) * numbers[:, 1:]
    first = (centre - size / 2).clamp(min=0).floor()
    last = (first + size).clamp(max=side).floor()  # inclusive: a size of 5.3 covers 6 pixels
    last = torch.where(size > 0, last, -1.0)
    return torch.stack([first, last], dim=2).flatten(1)


def strong_view(padded: Tensor, indices: Tensor, recipes: Tensor) -> Tensor:
    """The images ``indices`` [B] of ``padded`` [N, S + 8, S + 8, 3] as ``recipes`` [B, 27] say.

    [B, S, S, 3] uint8. Nothing waits for the device.
    """
    places = recipes[:, :HEAD].long()
    pixels = crop_flip(padded, indices, places[:, :2], places[:, 2] > 0)
    # One colour after another: 4.7 ms for 64 images on a CPU core; pixel after pixel 6.4 ms.
    pixels = pixels.permute(0, 3, 1, 2).contiguous()  # [B, 3, S, S]
    for first in range(HEAD, recipes.shape[1], SLOT):
        kinds, affine, *rest = recipes[:, first : first + SLOT, None, None].split(WIDTHS, dim=1)
        slot = Slot(kinds, affine.int(), *rest)
        pixels = blend(look_up(warp(pixels, slot), slot), slot)
    return cut_out(pixels, places[:, 3:]).permute(0, 2, 3, 1).contiguous()


def warp(pixels: Tensor, slot: Slot) -> Tensor:
    """Rotate, shear, translate: the nearest pixel, black from outside the image."""
    side = pixels.shape[3]
    axis = torch.arange(side, dtype=torch.int32, device=pixels.device)
    per_column, per_row, origin = slot.affine.view(-1, 2, 3, 1, 1).unbind(2)  # [B, 2, 1, 1] each
    place = (per_column * axis + per_row * axis[:, None] + origin) >> 16  # [B, 2, S, S]
    column, row = place.split(1, dim=1)
    outside = ((place < 0) | (place >= side)).any(dim=1, keepdim=True)
    places = (side * row + column).masked_fill(outside, side**2)
    source = F.pad(pixels.flatten(2), (0, 1))  # a black pixel after the last
    return source.gather(2, places.flatten(2).long().expand(-1, 3, -1)).view(pixels.shape)


def look_up(pixels: Tensor, slot: Slot) -> Tensor:
    """Auto-contrast, equalise, posterise, solarise: a new level for each, by image and channel."""
    places = pixels.flatten(2).long()
    one = torch.ones((), device=pixels.device)
    counts = one.new_zeros(len(pixels), 3, 256).scatter_add_(2, places, one.expand(places.shape))
    return levels(counts, slot).to(torch.uint8).gather(2, places).view(pixels.shape)


def levels(counts: Tensor, slot: Slot) -> Tensor:
    """Pixels of each level [B, 3, 256] -> each level's new one in 0..255, to be rounded down."""
    kinds, _, _, steps, thresholds = (column.squeeze(3) for column in slot)  # [B, 1, 1] each
    old = torch.arange(256, dtype=torch.float32, device=counts.device)
    new = torch.floor(old / steps) * steps  # [B, 1, 256]
    new = torch.where(old < thresholds, new, 255 - new)
    below = counts.cumsum(dim=2)  # or at the level; whole numbers, exact in float32
    new = torch.where(kinds == KINDS["autocontrast"], stretched(old, below), new)
    return torch.where(kinds == KINDS["equalize"], equalized(old, counts, below), new)


def stretched(old: Tensor, below: Tensor) -> Tensor:
    """From the darkest level to 0, from the lightest to 255; in float64, as in Python."""
    darkest = (below == 0).sum(dim=2, keepdim=True).double()
    lightest = (below < below[:, :, -1:]).sum(dim=2, keepdim=True).double()
    scale = torch.full_like(darkest, 255.0) / (lightest - darkest)
    new = (old * scale + -darkest * scale).clamp(0, 255)
    return torch.where(lightest > darkest, new, old.double())


def equalized(old: Tensor, counts: Tensor, below: Tensor) -> Tensor:
    """Each level by the pixels below it; ``step`` pixels a level."""
    of_darker = below.masked_fill(below == below[:, :, -1:], 0).amax(dim=2, keepdim=True)
    step = torch.floor(of_darker / torch.full_like(of_darker, 255.0))  # than the lightest
    new = torch.floor((torch.floor(step / 2) + below - counts) / step).clamp(max=255)
    return torch.where(step > 0, new, old)


def blend(pixels: Tensor, slot: Slot) -> Tensor:
    """Brightness, contrast, colour, sharpness: between a duller image and the image."""
    image = pixels.float()
    red, green, blue = image.split(1, dim=1)  # [B, 1, S, S] each
    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue  # below 2^24: exact
    grey = torch.floor((luma + FIXED // 2) / FIXED)
    mean = torch.floor(grey.mean(dim=(2, 3), keepdim=True) + 0.5)
    dull = mean.masked_fill(slot.kinds != KINDS["contrast"], 0.0)
    dull = torch.where(slot.kinds == KINDS["color"], grey, dull)
    dull = torch.where(slot.kinds == KINDS["sharpness"], smooth(image), dull)
    return (image - dull).mul_(slot.alphas).add_(dull).to(torch.uint8)


def smooth(image: Tensor) -> Tensor:
    """The weighted mean of 3 x 3 pixels, rounded; the border as it is."""
    rows = image[:, :, :-2] + image[:, :, 1:-1] + image[:, :, 2:]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]
    total.add_(image[:, :, 1:-1, 1:-1], alpha=SMOOTH_CENTRE - 1)
    result = image.clone()
    # n / 13 + 1/2 is never whole: rounding cannot go astray.
    result[:, :, 1:-1, 1:-1] = torch.floor(total * (1 / SMOOTH_SUM) + 0.5)
    return result


def cut_out(pixels: Tensor, holes: Tensor) -> Tensor:
    """Fill ``holes`` [B, 4] (first and last column, first and last row), in place."""
    axis = torch.arange(pixels.shape[3], device=pixels.device)
    left, right, top, bottom = holes[..., None].unbind(1)  # [B, 1] each
    columns, rows = (axis >= left) & (axis <= right), (axis >= top) & (axis <= bottom)  # [B, S]
    inside = rows[:, :, None] & columns[:, None]
    for channel, level in enumerate(FILL):
        pixels[:, channel].masked_fill_(inside, level)
    return pixels
