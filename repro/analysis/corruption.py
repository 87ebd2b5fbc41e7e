"""Accuracy on corrupted images: six corruptions at five strengths (claim C7).

The idea is that of Hendrycks and Dietterich 2019, arXiv 1903.12261; corruptions and strengths are
ours, and smaller in number. So a number here compares the networks of one grid with each other, and
with nothing published.
"""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn

from repro.analysis.answers import Draw, Normalisation, Pixels, accuracy, by_image, logits_of
from repro.errors import UserError, choose

CLEAN = ("clean", 0)
SEVERITIES = (1, 2, 3, 4, 5)
SMOOTHNESS = 4.0  # pixels: the std of the Gaussian that smooths an elastic displacement; ours
COLUMNS = ("corruption", "severity", "top1", "images")

Floats = NDArray[np.float32]
Sets = dict[tuple[str, int], Tensor]


@dataclass(frozen=True, kw_only=True)
class Strengths:
    """What severities 1 to 5 of a corruption mean. All numbers are ours, chosen for 32 x 32."""

    unit: str
    values: tuple[float, float, float, float, float]


CORRUPTIONS: dict[str, Strengths] = {
    "noise": Strengths(unit="std, share of 255", values=(0.02, 0.04, 0.06, 0.08, 0.10)),
    "blur": Strengths(unit="std of a Gaussian, pixels", values=(0.4, 0.6, 0.8, 1.0, 1.3)),
    "jpeg": Strengths(unit="quality", values=(80, 60, 45, 30, 20)),
    "brightness": Strengths(unit="added, share of 255", values=(0.05, 0.10, 0.15, 0.20, 0.30)),
    "contrast": Strengths(unit="factor", values=(0.75, 0.6, 0.45, 0.3, 0.2)),
    "elastic": Strengths(unit="rms displacement, pixels", values=(0.5, 1.0, 1.5, 2.0, 2.5)),
}


def corrupt(images: Pixels, corruption: str, *, severity: int, seed: int) -> Pixels:
    """Images [N, H, W, C] uint8, corrupted and rounded; the same shape and type.

    The randomness of image i (noise, elastic) comes from (seed, i) alone: severities differ in
    strength only, and the first images of a larger set are those of a smaller one.
    Raises UserError for an unknown corruption or severity and for images of another kind.
    """
    if corruption not in CORRUPTIONS:
        raise choose("corruption", corruption, CORRUPTIONS)
    if severity not in SEVERITIES:
        raise UserError(f"severity must be one of 1 to 5, not {severity}")
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        raise UserError(f"images must be [N, H, W, C] uint8, not {images.shape} {images.dtype}")
    strength = CORRUPTIONS[corruption].values[severity - 1]
    if corruption == "jpeg":
        return np.stack([_jpeg(image, int(strength)) for image in images])
    values = images.astype(np.float32)
    if corruption == "noise":
        values += 255 * strength * by_image(len(images), seed, _normal(images.shape[1:]))
    elif corruption == "blur":
        values = ndimage.gaussian_filter(values, (0, strength, strength, 0), mode="nearest")
    elif corruption == "brightness":
        values += 255 * strength
    elif corruption == "contrast":
        mean = values.mean(axis=(1, 2), keepdims=True)  # of each image's channels
        values = mean + strength * (values - mean)
    else:
        values = sampled(values, strength * _displacement(images.shape, seed))
    return np.rint(values).clip(0, 255).astype(np.uint8)


def _normal(shape: tuple[int, ...]) -> Draw:
    return lambda generator: generator.standard_normal(shape, np.float32)


def _jpeg(image: Pixels, quality: int) -> Pixels:
    """Once through JPEG with chroma at half the resolution (4:2:0)."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=2)
    return np.asarray(Image.open(buffer))


def _displacement(shape: tuple[int, ...], seed: int) -> Floats:
    """Smooth random fields [N, 2, H, W] (down, right), each of root mean square length 1."""
    field = by_image(shape[0], seed, _normal((2, *shape[1:3])))
    smooth = ndimage.gaussian_filter(field, (0, 0, SMOOTHNESS, SMOOTHNESS), mode="nearest")
    square = (smooth**2).sum(axis=1, keepdims=True).mean(axis=(2, 3), keepdims=True)
    return smooth / np.sqrt(square)


def sampled(images: Floats, displacement: Floats) -> Floats:
    """Images [N, H, W, C] read at displaced places, bilinearly; the border is repeated outside.

    ``displacement`` [N, 2, H, W]: pixels down and right.
    """
    count, height, width, _ = images.shape
    rows, columns = np.indices((height, width), np.float32)
    row = (rows + displacement[:, 0]).clip(0, height - 1)
    column = (columns + displacement[:, 1]).clip(0, width - 1)
    top = np.minimum(row.astype(np.int64), height - 2)
    left = np.minimum(column.astype(np.int64), width - 2)
    down, right = (row - top)[..., None], (column - left)[..., None]
    which = np.arange(count)[:, None, None]
    upper, lower = (
        images[which, r, left] * (1 - right) + images[which, r, left + 1] * right
        for r in (top, top + 1)
    )
    return upper * (1 - down) + lower * down


def corrupted_sets(images: Pixels, seed: int) -> Sets:
    """Every corruption at every severity, and ``CLEAN``: 31 sets [N, H, W, C] uint8.

    Made once for all networks. 1,000 CIFAR images: 5 s and 95 MB.
    """
    sets = {CLEAN: torch.from_numpy(images)}
    for corruption in CORRUPTIONS:
        for severity in SEVERITIES:
            found = corrupt(images, corruption, severity=severity, seed=seed)
            sets[corruption, severity] = torch.from_numpy(found)
    return sets


def corruption_rows(
    model: nn.Module,
    sets: Mapping[tuple[str, int], Tensor],
    *,
    labels: ArrayLike,
    to: Normalisation,
) -> pd.DataFrame:
    """One network: a row a set, with the columns corruption, severity, top1 (percent), images."""
    rows = [
        (corruption, severity, accuracy(logits_of(model, pixels, to), labels), len(pixels))
        for (corruption, severity), pixels in sets.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def corruption_accuracy(
    networks: Iterable[tuple[str, nn.Module]],
    images: Pixels,
    *,
    labels: ArrayLike,
    to: Normalisation,
    seed: int = 0,
) -> pd.DataFrame:
    """``corruption_rows`` of many networks on the same images, with ``key`` as the first column.

    ``networks``: (key, network), one at a time in memory if they come from a generator.
    """
    sets = corrupted_sets(images, seed)
    parts = [
        corruption_rows(model, sets, labels=labels, to=to).assign(key=key)
        for key, model in networks
    ]
    return pd.concat(parts, ignore_index=True)[["key", *COLUMNS]]


def mean_corrupted(rows: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """By network: ``clean``, ``corrupted`` (mean over types and severities), ``drop``; percent."""
    corrupted = rows["corruption"] != CLEAN[0]
    clean = rows[~corrupted].groupby(by, sort=False)["top1"].mean()
    mean = rows[corrupted].groupby(by, sort=False)["top1"].mean()
    table = pd.DataFrame({"clean": clean, "corrupted": mean, "drop": clean - mean})
    return table.reset_index()
