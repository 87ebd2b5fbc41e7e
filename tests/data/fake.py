"""A small release in the formats of CIFAR-100, and slow versions of what the suite computes."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import torch

from repro.data import Images
from repro.data.cifar100 import Release

SPLITS = {"train": 230, "test": 70}


def arrays(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    made = {}
    for split, count in SPLITS.items():
        made[f"{split}_images"] = random.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
        made[f"{split}_labels"] = random.integers(0, 100, count, dtype=np.int64)
    return made


def shuffled(made: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    result = {}
    for split in SPLITS:
        order = random.permutation(len(made[f"{split}_labels"]))
        for name in (f"{split}_images", f"{split}_labels"):
            result[name] = made[name][order]
    return result


def image_digest(pixels: np.ndarray, label: int) -> bytes:
    return hashlib.sha256(bytes([label]) + pixels.tobytes()).digest()


def slow_fingerprint(pixels: np.ndarray, labels: np.ndarray) -> str:
    total = 0
    for image, label in zip(pixels, labels, strict=True):
        total += int(image_digest(image, int(label)).hex(), 16)
    return hex(total % 2**256)[2:].zfill(64)


def release(made: dict[str, np.ndarray], sha256: str = "") -> Release:
    prints = {s: slow_fingerprint(made[f"{s}_images"], made[f"{s}_labels"]) for s in SPLITS}
    return Release(**prints, sha256=sha256)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def images(count: int, num_classes: int = 5, seed: int = 0) -> Images:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (count, 32, 32, 3), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.arange(count) % num_classes)


def rows_of(pixels: np.ndarray) -> np.ndarray:
    """[N, 3072] as the release has them: 1024 red values, then green, then blue."""
    return np.concatenate([pixels[..., channel].reshape(-1, 1024) for channel in range(3)], axis=1)


def write_npz(path: Path, made: dict[str, np.ndarray]) -> Path:
    np.savez(path, **made)
    return path


def write_folder(path: Path, made: dict[str, np.ndarray], protocol: int = 2) -> Path:
    folder = path / "cifar-100-python"
    folder.mkdir(parents=True)
    for split in SPLITS:
        content = {
            "data": rows_of(made[f"{split}_images"]),
            "fine_labels": made[f"{split}_labels"].tolist(),
            "coarse_labels": [0] * len(made[f"{split}_labels"]),
            "filenames": ["image.png"] * len(made[f"{split}_labels"]),
            "batch_label": "1 of 1",
        }
        (folder / split).write_bytes(pickle.dumps(content, protocol=protocol))
    return folder


def python2_pickle(pixels: np.ndarray, labels: np.ndarray) -> bytes:
    """The same as Python 2 and NumPy 1 wrote it in 2009: byte strings, numpy.core."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value  # SHORT_BINSTRING

    def number(value: int) -> bytes:
        return b"J" + value.to_bytes(4, "little", signed=True)  # BININT

    raw = rows_of(pixels).tobytes()
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"
    array += number(0) + b"\x85" + text(b"b") + b"\x87R"
    dtype = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R"
    dtype += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    shape = number(len(pixels)) + number(3072) + b"\x86"
    content = b"T" + len(raw).to_bytes(4, "little") + raw  # BINSTRING
    array += b"(" + number(1) + shape + dtype + b"\x89" + content + b"tb"
    values = b"](" + b"".join(number(int(label)) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"fine_labels") + values + b"u."
