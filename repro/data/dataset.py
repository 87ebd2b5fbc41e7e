"""Images in memory: a canonical order, a fingerprint, held-out splits and subsets."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from repro.data.folder import FolderImages
from repro.errors import UserError
from repro.spec import Stream

HELD_OUT = 10  # split "tune" evaluates on one in so many images of each class of train


@dataclass(frozen=True, eq=False)
class Images:
    """``pixels`` [N, S, S, 3] uint8 RGB, ``labels`` [N] int64."""

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: Tensor | slice) -> "Images":
        """The images that ``which`` selects: positions, a slice or a mask."""
        return Images(self.pixels[which], self.labels[which])


AnyImages = Images | FolderImages


@dataclass(frozen=True, eq=False)
class Dataset:
    """Both splits in sorted order (see ``sort_images``) and what is known of the classes.

    ``superclass_of``: the index of the superclass of each class, empty where there are none.
    ``mean``, ``std``: of each channel of the training pixels, in [0, 1].
    """

    name: str
    train: AnyImages
    test: AnyImages
    class_names: tuple[str, ...]
    superclass_of: tuple[int, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def sort_images(pixels: Tensor, labels: Tensor) -> Images:
    """The images ordered by SHA-256 of (label byte + pixel bytes, row by row, RGB).

    So positions do not depend on the order in which the files came. ``pixels`` [N, H, W, 3] uint8,
    ``labels`` [N] of any integer type in 0..255. 60,000 images take 0.2 s.
    """
    digests = _digests(pixels, labels)
    order = torch.tensor(sorted(range(len(digests)), key=digests.__getitem__), dtype=torch.int64)
    return Images(pixels[order], labels[order].to(torch.int64))


def fingerprint(images: AnyImages) -> str:
    """The sum of the images' SHA-256 (as in ``sort_images``) modulo 2**256: 64 hex digits.

    It does not depend on the order of the images. Of a folder it is of names and sizes.
    """
    if isinstance(images, FolderImages):
        return images.fingerprint()
    digests = _digests(images.pixels, images.labels)
    return f"{sum(int.from_bytes(digest, 'big') for digest in digests) % 2**256:064x}"


def select(dataset: Dataset, stream: Stream) -> tuple[AnyImages, AnyImages]:
    """The images that ``stream`` trains on and those it is evaluated on, in sorted order.

    Split "full": train and test. Split "tune": the last tenth of each class of train (rounded
    down) is evaluated on and not trained on; test is not used. Then ``train_per_class`` and
    ``test_per_class`` keep the first images of each class; more than there are is a UserError, but
    of a folder of images all that there are.
    """
    train, evaluation = (_sized(images, stream) for images in (dataset.train, dataset.test))
    if stream.split == "tune":
        rank, size = rank_in_class(train.labels)
        held_out = rank >= size - size // HELD_OUT
        train, evaluation = train[~held_out], train[held_out]
    return (
        _first_of_each_class(dataset, train, stream.train_per_class, "train_per_class"),
        _first_of_each_class(dataset, evaluation, stream.test_per_class, "test_per_class"),
    )


def _sized(images: AnyImages, stream: Stream) -> AnyImages:
    if stream.side and isinstance(images, FolderImages):
        return replace(images, side=stream.side)
    return images


def _first_of_each_class(dataset: Dataset, images: AnyImages, count: int, option: str) -> AnyImages:
    if count == 0:
        return images
    sizes = torch.bincount(images.labels, minlength=len(dataset.class_names))
    smallest = int(sizes.argmin())
    if count > sizes[smallest] and isinstance(images, Images):
        raise UserError(
            f"{option} is {count}, but class {dataset.class_names[smallest]!r} of {dataset.name} "
            f"has {int(sizes[smallest])} images; give at most that, or 0 for all"
        )
    return images[rank_in_class(images.labels)[0] < count]


def rank_in_class(labels: Tensor) -> tuple[Tensor, Tensor]:
    """For each image, how many of its class come before it and how many there are: two [N]."""
    sizes = torch.bincount(labels)
    by_class = torch.argsort(labels, stable=True)
    starts = (sizes.cumsum(0) - sizes)[labels[by_class]]
    rank = torch.empty_like(labels)
    rank[by_class] = torch.arange(len(labels)) - starts
    return rank, sizes[labels]


def _digests(pixels: Tensor, labels: Tensor) -> list[bytes]:
    """The SHA-256 of each image's label byte and pixels."""
    columns = (labels.numpy().astype(np.uint8)[:, None], pixels.flatten(1).numpy())
    return [hashlib.sha256(row).digest() for row in np.concatenate(columns, axis=1)]
