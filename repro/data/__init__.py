"""The datasets, their augmentation and the batches made of them."""

from pathlib import Path
from typing import get_args

from repro import spec
from repro.data.dataset import Dataset, Images, fingerprint, select, sort_images
from repro.errors import choose

DATASETS: tuple[str, ...] = get_args(spec.Dataset)

__all__ = ["DATASETS", "Dataset", "Images", "fingerprint", "load", "select", "sort_images"]


def load(name: str, data_dir: Path) -> Dataset:
    """The dataset ``name``; cifar100 and imagenet read ``data_dir``. Raises UserError."""
    if name == "cifar100":
        from repro.data import cifar100

        return cifar100.load(data_dir)
    if name == "digits":
        from repro.data import digits

        return digits.load()
    if name == "imagenet":
        from repro.data import imagenet

        return imagenet.load(data_dir)
    raise choose("dataset", name, DATASETS)
