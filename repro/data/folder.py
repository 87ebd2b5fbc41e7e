"""Folders of images in ImageFolder's layout, too large for memory: decoded when asked for.

``train/<class>/...`` and ``val/<class>/...``; a split's images are in the order of class and name.
"""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from repro.data.torchvision_cure import import_torchvision
from repro.errors import UserError
from repro.seeded import seeded

SPLITS = ("train", "val")
RESIZED = 256 / 224  # the side to which an image is resized, of the one that is cut out of it
GONE = "it is not there"  # a folder that is not mounted is no matter of a broken file
LAYOUT = "a folder of images has train/CLASS/*.jpg and val/CLASS/*.jpg"


class Decoded(NamedTuple):
    """``pixels`` [S, S, 3] uint8, black where the file cannot be decoded: ``reason`` says why, or
    that it is ``GONE``. (Processes that decode cannot raise it: PyTorch adds its traceback.)"""

    pixels: Tensor
    reason: str = ""


@dataclass(frozen=True, eq=False)
class FolderImages:
    """One split, as ``Images``. ``names`` [N]: paths below ``root``, bytes; ``sizes`` [N]: of the
    files in bytes; ``labels`` [N] int64; ``side``: pixels of an image once it is cropped."""

    root: Path
    names: np.ndarray
    sizes: np.ndarray
    labels: Tensor
    side: int = 224

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, which: Tensor | slice) -> "FolderImages":
        """The images that ``which`` selects: positions, a slice or a mask."""
        chosen: Any = which.numpy() if isinstance(which, Tensor) else which
        names, sizes = self.names[chosen], self.sizes[chosen]
        return replace(self, names=names, sizes=sizes, labels=self.labels[which])

    def path(self, index: int) -> Path:
        return self.root / os.fsdecode(self.names[index])

    @property
    def pixels(self) -> Tensor:
        """[N, S, S, 3] uint8 RGB, all in memory, as they are evaluated: black where a file cannot
        be decoded, as in training. Raises UserError where one is gone."""
        with ThreadPoolExecutor() as pool:  # decoding lets other threads run
            found = list(pool.map(self.evaluated, range(len(self))))
        for index, one in enumerate(found):
            if one.reason == GONE:
                raise gone(self.path(index))
        shape = (0, self.side, self.side, 3)
        return (
            torch.stack([one.pixels for one in found])
            if found
            else torch.empty(shape, dtype=torch.uint8)
        )

    def fingerprint(self) -> str:
        """SHA-256 of every name, label and size: 64 hex digits. The files are not read."""
        digest = hashlib.sha256()
        for name, label, size in zip(self.names, self.labels.tolist(), self.sizes, strict=True):
            digest.update(b"%s\n%d %d\n" % (name, label, size))
        return digest.hexdigest()

    def evaluated(self, index: int) -> Decoded:
        """Resized to 256 / 224 of the side, the middle cut out."""
        return decoded(self.path(index), "evaluated", self.side)

    def augmented(self, index: int, seed: int) -> Decoded:
        """Inception's random crop, resized, and a flip: a function of the arguments alone."""
        with seeded(seed):
            return decoded(self.path(index), "augmented", self.side)


def gone(path: Path | str) -> UserError:
    return UserError(f"{path} is gone, or its disk: see to it, then the same command goes on")


def decoded(path: Path, how: str, side: int) -> Decoded:
    from PIL import Image  # not where only CIFAR is trained on

    black = torch.zeros(side, side, 3, dtype=torch.uint8)
    if not path.exists():
        return Decoded(black, GONE)
    try:
        with Image.open(path) as image:
            pixels = np.array(transform(how, side)(image.convert("RGB")))
        return Decoded(torch.from_numpy(pixels))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        return Decoded(black, reason)


@cache
def transform(how: str, side: int) -> Any:
    """torchvision's, of PIL images."""
    import_torchvision()
    from torchvision.transforms import v2

    if how == "augmented":
        return v2.Compose([v2.RandomResizedCrop(side), v2.RandomHorizontalFlip()])
    return v2.Compose([v2.Resize(round(side * RESIZED)), v2.CenterCrop(side)])


def scan(root: Path) -> tuple[tuple[str, ...], FolderImages, FolderImages]:
    """Class names in the order of labels, training and validation images; files are not opened.

    Raises UserError, with the way out, for what is no such folder, an empty class, and splits whose
    classes differ.
    """
    for split in SPLITS:
        if not (root / split).is_dir():
            raise UserError(f"{root / split} is no directory: {LAYOUT}")
    found = {split: _split(root, split) for split in SPLITS}
    (names, train), (evaluated_names, evaluated) = found["train"], found["val"]
    if names != evaluated_names:
        apart = sorted(set(names) ^ set(evaluated_names))
        some = ", ".join(apart[:3]) + (", ..." if len(apart) > 3 else "")
        splits = (("train", names), ("val", evaluated_names))
        where = next((split for split, own in splits if set(apart) <= set(own)), "one")
        raise UserError(
            f"train and val of {root} have different classes: {some} in {where} alone; add the "
            "folders or remove them"
        )
    return tuple(names), train, evaluated


def _split(root: Path, split: str) -> tuple[list[str], FolderImages]:
    import_torchvision()
    from torchvision.datasets import folder

    try:
        names, label_of = folder.find_classes(root / split)
    except FileNotFoundError as error:
        loose = any((root / split).iterdir())
        more = "; its files lie loose, beside classes" if loose else "; it is empty"
        raise UserError(f"{root / split} has no class folders{more}: {LAYOUT}") from error
    made = folder.make_dataset(
        root / split, label_of, folder.IMG_EXTENSIONS, allow_empty=True
    )  # sorted by class, then name
    labels = torch.tensor([label for _, label in made], dtype=torch.int64)
    counts = torch.bincount(labels, minlength=len(names))
    empty = [name for name, count in zip(names, counts.tolist(), strict=True) if not count]
    if empty:
        some = ", ".join(empty[:3]) + (", ..." if len(empty) > 3 else "")
        words = f"class {some} of" if len(empty) == 1 else f"{len(empty)} classes ({some}) of"
        raise UserError(f"{words} {root / split} has no images: add some or remove the folder")
    paths = [os.fsencode(os.path.relpath(path, root)) for path, _ in made]
    sizes = np.array([Path(path).stat().st_size for path, _ in made], dtype=np.int64)
    return names, FolderImages(root, np.array(paths), sizes, labels)
