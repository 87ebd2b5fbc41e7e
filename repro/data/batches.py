"""The batches of an epoch: order, crops and flips drawn once on the CPU, images on the device."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from repro import spec
from repro.data.augment import crop_flip, draw_crops, normalise, pad, view_numbers
from repro.data.dataset import AnyImages, Images
from repro.data.sizes import side_of
from repro.data.strong import draw_recipes, strong_view
from repro.outputs import Batch

Channels = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Views:
    """How one epoch, or a part of it, sees each image, in the order of the epoch.

    ``order`` [N] int64, ``offsets`` [N, 2] int64 (row, column, 0..8), ``flips`` [N] bool: the
    i-th image of the epoch is image ``order[i]``, cropped at ``offsets[i]``. ``numbers`` [N] int64:
    offset and flip as one number (``augment.view_numbers``), or the seed of a crop that has none.
    ``recipes`` [N, 27] float32: the second view, where there is one (``strong.draw_recipes``).
    """

    order: Tensor
    offsets: Tensor
    flips: Tensor
    numbers: Tensor
    recipes: Tensor | None = None

    def __getitem__(self, part: slice | Tensor) -> "Views":
        return Views(*(tensor[part] for tensor in self.tensors))

    def to(self, device: torch.device) -> "Views":
        return Views(*(tensor.to(device) for tensor in self.tensors))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        first = (self.order, self.offsets, self.flips, self.numbers)
        return first if self.recipes is None else (*first, self.recipes)


@dataclass(frozen=True, eq=False)
class TrainingImages:
    """A training set on its device: ``padded`` [N, S + 8, S + 8, 3] uint8, ``labels`` [N] int64.

    ``mean``, ``std`` [3] float32.
    """

    padded: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor

    @property
    def device(self) -> torch.device:
        return self.padded.device


def epoch_views(stream: spec.Stream, trial: int, epoch: int, num_images: int) -> Views:
    """The views of one epoch, on the CPU; a function of the arguments alone.

    ``epoch`` counts from 0. A second view changes nothing in the order and the first views, so
    students with one and students without are paired.
    """
    plain = replace(stream, second_view="none")
    identity = json.dumps(spec.encode(plain), sort_keys=True, separators=(",", ":"))
    # On the CPU whatever the device: the same batches everywhere.
    generator = torch.Generator().manual_seed(spec.seed("views", identity, trial, epoch))
    order = torch.randperm(num_images, generator=generator)
    offsets, flips = draw_crops(num_images, stream.augment, generator)
    if stream.augment == "resized-crop-flip":  # no table of views: a number is a seed
        numbers = torch.randint(2**62, (num_images,), generator=generator)
    else:
        numbers = view_numbers(offsets, flips, stream.augment)
    recipes = None
    if stream.second_view == "strong":
        recipes = draw_recipes(num_images, stream.augment, generator, side=side_of(stream))
    return Views(order, offsets, flips, numbers, recipes)


def prepare(
    images: Images, mean: Channels, std: Channels, device: torch.device | str
) -> TrainingImages:
    """The images, padded once, on ``device``: 240 MB for 50,000."""
    return TrainingImages(
        padded=pad(images.pixels.to(device)),
        labels=images.labels.to(device),
        mean=torch.tensor(mean, dtype=torch.float32, device=device),
        std=torch.tensor(std, dtype=torch.float32, device=device),
    )


def take(prepared: TrainingImages, views: Views) -> Batch:
    """The batch that shows ``views``, which lie on the device of the images.

    ``Batch.indices`` are positions in the prepared training set. Nothing waits for the device.
    """
    pixels = crop_flip(prepared.padded, views.order, views.offsets, views.flips)
    images, second = normalise(pixels, prepared.mean, prepared.std), None
    if views.recipes is not None:
        pixels = strong_view(prepared.padded, views.order, views.recipes)
        second = normalise(pixels, prepared.mean, prepared.std)
    return Batch(images, prepared.labels[views.order], views.order, views.numbers, second)


def parts(num_images: int, batch_size: int) -> Iterator[slice]:
    """The epoch's order in batches; the last one may be smaller."""
    for start in range(0, num_images, batch_size):
        yield slice(start, min(start + batch_size, num_images))


def batches(
    prepared: TrainingImages, stream: spec.Stream, trial: int, epoch: int
) -> Iterator[Batch]:
    """Every image once, in batches of ``stream.batch_size``."""
    count = len(prepared.labels)
    views = epoch_views(stream, trial, epoch, count).to(prepared.padded.device)
    for part in parts(count, stream.batch_size):
        yield take(prepared, views[part])


def evaluation_batch_size(device: torch.device) -> int:
    """Two CPU cores are twice as fast at 250 as at 1,000, which leaves their cache; a GPU is to be
    filled, and the host to be spared."""
    return 2000 if device.type == "cuda" else 250


def evaluation_batches(
    images: AnyImages,
    mean: Channels,
    std: Channels,
    device: torch.device | str,
    batch_size: int | None = None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Every image as it is, in order: (images [B, 3, S, S] float32, labels [B] int64)."""
    batch_size = batch_size or evaluation_batch_size(torch.device(device))
    if isinstance(images, Images):  # all at once: a copy of each batch takes longer
        images = Images(images.pixels.to(device), images.labels.to(device))
    means, stds = (torch.tensor(t, dtype=torch.float32, device=device) for t in (mean, std))
    for part in parts(len(images), batch_size):
        some = images[part]
        yield normalise(some.pixels.to(device), means, stds), some.labels.to(device)
