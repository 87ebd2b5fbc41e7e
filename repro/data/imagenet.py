"""ImageNet (ILSVRC-2012), or any folder of images in its place: where it lies, and what it is.

``data/imagenet.npz`` remembers a folder once it was read through, which takes minutes for 1.3
million files: names, sizes and when its directories last changed.
"""

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch

from repro.data.dataset import Dataset
from repro.data.folder import SPLITS, FolderImages, scan
from repro.data.sizes import FOLDERS, NUM_CLASSES, NUM_IMAGES
from repro.errors import UserError
from repro.files import make_directory, write_atomically
from repro.spec import Stream

NAME = "imagenet"
FILE = "imagenet.npz"
# Of each channel of the training pixels: torchvision's reference, and every paper's.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
WAY_OUT = "give the folder that holds train/ and val/: --data DIR, or DATA=DIR after make"


def use(root: Path, data_dir: Path) -> Dataset:
    """Remember the folder as the one that grids on ImageNet train on, and load it.

    Raises UserError as ``folder.scan`` does.
    """
    root = root.resolve()
    if not root.is_dir():
        raise UserError(f"{root} is no directory; {WAY_OUT}")
    known = _remembered(data_dir)
    if known and known.root == root and known.changed == _changes(root, known.classes):
        return known.dataset()
    names = [path.name for path in sorted((root / "train").glob("*")) if path.is_dir()]
    changed = _changes(root, tuple(names))  # before: what changes meanwhile is noticed
    classes, train, evaluated = scan(root)
    content: dict[str, Any] = {
        "root": str(root),
        "classes": np.array(classes),
        "changed": np.array(changed),
    }
    for split, images in zip(SPLITS, (train, evaluated), strict=True):
        content |= {f"{split}_names": images.names, f"{split}_sizes": images.sizes}
        content[f"{split}_labels"] = images.labels.numpy()
    buffer = io.BytesIO()
    np.savez(buffer, **content)
    write_atomically(make_directory(data_dir) / FILE, buffer.getvalue())
    return _dataset(classes, train, evaluated)


def load(data_dir: Path) -> Dataset:
    """The folder that ``use`` remembered. Raises UserError where there is none."""
    known = _remembered(data_dir)
    if known is None:
        raise UserError(f"no folder of images is known here; {WAY_OUT}")
    return use(known.root, data_dir)


def words(dataset: Dataset) -> str:
    """Where the images are, how many, and how large."""
    train, test = dataset.train, dataset.test
    assert isinstance(train, FolderImages)
    assert isinstance(test, FolderImages)
    gigabytes = (train.sizes.sum() + test.sizes.sum()) / 1e9
    return (
        f"{train.root}: {len(dataset.class_names):,} classes, {len(train):,} + {len(test):,} "
        f"images, {gigabytes:.3g} GB"
    )


def class_names(data_dir: Path) -> tuple[str, ...]:
    """Of the folder that is remembered, in the order of labels; empty where there is none."""
    known = _remembered(data_dir)
    return known.classes if known else ()


def stream_of(stream: Stream, data_dir: Path) -> Stream:
    """The stream on the folder that is remembered; ImageNet's own where there is none, or where it
    is that one by its numbers of images and classes."""
    known = _remembered(data_dir)
    if known is None:
        return stream
    sizes = tuple(len(images) for images in known.images)
    if sizes == NUM_IMAGES[NAME] and len(known.classes) == NUM_CLASSES[NAME]:
        return stream
    both = "".join(images.fingerprint() for images in known.images)
    digest = hashlib.sha256(both.encode()).hexdigest()
    FOLDERS[digest] = sizes[0], sizes[1]
    return replace(stream, classes=len(known.classes), images=digest)


class Remembered:
    """What the file holds."""

    def __init__(self, found: dict[str, np.ndarray]) -> None:
        self.root = Path(str(found["root"]))
        self.classes = tuple(str(name) for name in found["classes"])
        self.changed = found["changed"].tolist()
        self.images = tuple(
            FolderImages(
                self.root,
                found[f"{split}_names"],
                found[f"{split}_sizes"],
                torch.from_numpy(found[f"{split}_labels"]),
            )
            for split in SPLITS
        )

    def dataset(self) -> Dataset:
        return _dataset(self.classes, *self.images)


def _remembered(data_dir: Path) -> Remembered | None:
    try:
        with np.load(data_dir / FILE, allow_pickle=False) as archive:
            return Remembered(dict(archive))
    except (OSError, EOFError, ValueError, KeyError, BadZipFile):
        return None  # it is read through again


def _changes(root: Path, classes: tuple[str, ...]) -> list[int]:
    """When each directory last changed, in ns: names come and go with it."""
    found = []
    for split in SPLITS:
        for name in ("", *classes):
            try:
                found.append((root / split / name).stat().st_mtime_ns)
            except OSError:
                found.append(0)
    return found


def _dataset(classes: tuple[str, ...], train: FolderImages, evaluated: FolderImages) -> Dataset:
    return Dataset(
        name=NAME,
        train=train,
        test=evaluated,
        class_names=classes,
        superclass_of=(),
        mean=MEAN,
        std=STD,
    )
