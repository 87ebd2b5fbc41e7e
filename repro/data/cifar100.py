"""CIFAR-100 in one file: import or download it, check it, load it."""

import hashlib
import http.client
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch

from repro.data.cifar100_names import CLASSES, SUPERCLASS_OF
from repro.data.cifar100_source import WAY_OUT, Arrays, read_source
from repro.data.cifar100_store import store
from repro.data.dataset import Dataset, Images, fingerprint, sort_images
from repro.data.torchvision_cure import import_torchvision
from repro.errors import UserError

FILE = "cifar100.safetensors"
WAYS = (
    "get it with `repro data fetch` (needs a network), `repro data import cifar100 PATH` (the "
    "released folder cifar-100-python or an .npz) or DATA=PATH for make and --data PATH for "
    "`repro run`; `make demo` needs no download"
)

# The sum of the images' SHA-256, see dataset.fingerprint; measured on the released files.
FINGERPRINTS = {
    "train": "7afde546adf0eaaf90d6a187a2f5bb05da66a26562c7fc2b39ac30cd18ecb7ba",
    "test": "e0dae92f17b2a82c4cb016b063db8906fb6e78ba24005027b71b4ef45d97d9a6",
}

# As in the CRD benchmark (RepDistiller, dataset/cifar100.py) and in mdistiller; the pixels' own
# statistics are (0.5071, 0.4865, 0.4409) and (0.2673, 0.2564, 0.2762).
MEAN = (0.5071, 0.4867, 0.4408)
STD = (0.2675, 0.2565, 0.2761)


@dataclass(frozen=True, kw_only=True)
class Release:
    """What identifies the data: each split's fingerprint, and the SHA-256 of the stored file."""

    train: str
    test: str
    sha256: str


RELEASE = Release(
    **FINGERPRINTS,
    sha256="3a100fa8cf0c2b58a00d34a4eb8f0b7732b553e1d48f53c8045b5da05598af8a",
)


def load(data_dir: Path, release: Release = RELEASE) -> Dataset:
    """The stored dataset, its file checked against its SHA-256: 0.2 s.

    Raises UserError if the file is missing or damaged.
    """
    splits = _read(data_dir / FILE, release)
    return Dataset(
        name="cifar100",
        train=splits["train"],
        test=splits["test"],
        class_names=CLASSES,
        superclass_of=SUPERCLASS_OF,
        mean=MEAN,
        std=STD,
    )


def verify(path: Path, release: Release = RELEASE) -> dict[str, str | int]:
    """Recompute everything that identifies a stored file: counts, fingerprints, SHA-256.

    Raises UserError if the file is missing or damaged.
    """
    report: dict[str, str | int] = {"path": str(path), "sha256": release.sha256}
    for split, images in _read(path, release).items():
        found = _check_fingerprint(path, split, images, release)
        report |= {f"{split}_images": len(images), f"{split}_fingerprint": found}
    return report


def import_path(source: Path, data_dir: Path, release: Release = RELEASE) -> Path:
    """Check the images in ``source`` and store them, sorted, as one file in ``data_dir``.

    ``source``: see ``read_source``. The same images give the same bytes, whatever their order; a
    file that has them already is left alone. Raises UserError if these are not the images of
    CIFAR-100. 2 s.
    """
    arrays = read_source(source)
    stored: Arrays = {}
    for split in ("train", "test"):
        pixels, labels = (arrays[f"{split}_{kind}"] for kind in ("images", "labels"))
        images = sort_images(torch.from_numpy(pixels), torch.from_numpy(labels))
        _check_fingerprint(source, split, images, release)
        stored[f"{split}_images"] = images.pixels.numpy()
        stored[f"{split}_labels"] = images.labels.numpy().astype(np.uint8)
    return store(stored, data_dir / FILE)


def download_release(folder: Path) -> Path:
    """Download and unpack the released archive (169 MB, its md5 checked) into ``folder``."""
    import_torchvision()
    from torchvision.datasets import CIFAR100
    from torchvision.datasets.utils import download_and_extract_archive

    # Not CIFAR100(download=True): it unpickles the files itself; import_path reads them safely.
    download_and_extract_archive(
        CIFAR100.url, str(folder), filename=CIFAR100.filename, md5=CIFAR100.tgz_md5
    )
    return folder / CIFAR100.base_folder


def fetch(
    data_dir: Path,
    release: Release = RELEASE,
    download: Callable[[Path], Path] = download_release,
) -> Path:
    """Download the release and import it, unless the stored file is whole. Raises UserError.

    The downloaded archive is not kept.
    """
    stored = data_dir / FILE
    if stored.is_file() and _sha256(stored) == release.sha256:
        return stored
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=data_dir, prefix=".fetch-") as folder:
            return import_path(download(Path(folder)), data_dir, release)
    except (OSError, RuntimeError, EOFError, http.client.HTTPException) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"cannot download CIFAR-100 to {data_dir} ({reason}); {WAYS}") from error


def _check_fingerprint(path: Path, split: str, images: Images, release: Release) -> str:
    found, expected = fingerprint(images), getattr(release, split)
    if found != expected:
        raise UserError(
            f"{path}: the {split} images are not those of CIFAR-100 ({len(images)} images with "
            f"fingerprint {found}, expected {expected}); {WAY_OUT}"
        )
    return found


def _read(path: Path, release: Release) -> dict[str, Images]:
    """Both splits of the stored file, whose every byte is checked first."""
    try:
        found = _sha256(path)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {WAYS}") from None
    except OSError as error:
        raise UserError(f"cannot read {path} ({error}); {WAYS}") from error
    if found != release.sha256:
        raise UserError(
            f"{path} is damaged or truncated ({path.stat().st_size} bytes with SHA-256 {found}, "
            f"expected {release.sha256}); replace it with `repro data import cifar100 PATH`"
        )
    tensors = safetensors.torch.load_file(path)  # mapped, not read: 0.6 s less
    return {
        split: Images(tensors[f"{split}_images"], tensors[f"{split}_labels"].to(torch.int64))
        for split in ("train", "test")
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
