"""Reading CIFAR-100 from files that come from elsewhere: an .npz or the released folder.

Nothing read here is trusted: no code in a pickle is run, and every array is checked.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from repro.data.cifar100_names import CLASSES
from repro.errors import UserError

Arrays = dict[str, np.ndarray]

NAMES = ("train_images", "train_labels", "test_images", "test_labels")
WAY_OUT = f"give the released folder cifar-100-python or an .npz with {', '.join(NAMES)}"

# All that a pickled NumPy array consists of, under the names that NumPy 1 and 2 write.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_FROM_BUFFER = np.empty(0).__reduce_ex__(5)[0]
_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy.core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("numpy._core.numeric", "_frombuffer"): _FROM_BUFFER,
    ("_codecs", "encode"): lambda text, _: text.encode("latin1"),  # bytes, below protocol 3
}


def read_source(source: Path) -> Arrays:
    """The four arrays of ``NAMES``: images [N, 32, 32, 3] and labels [N], both uint8.

    ``source``: an .npz with these arrays, the released folder or the folder that holds it.
    Raises UserError where something is missing, damaged or of another shape or type.
    """
    if not source.exists():
        raise UserError(f"{source} does not exist; {WAY_OUT}")
    arrays = _read_folder(source) if source.is_dir() else _read_npz(source)
    for split in ("train", "test"):
        _check(arrays, split, source)
    return {name: np.ascontiguousarray(arrays[name], dtype=np.uint8) for name in NAMES}


def _read_npz(source: Path) -> Arrays:
    try:
        with source.open("rb") as file:
            if file.read(2) != b"PK":
                raise UserError(f"{source} is not an .npz archive (no zip file); {WAY_OUT}")
        with np.load(source, allow_pickle=False) as archive:
            missing = [name for name in NAMES if name not in archive]
            if missing:
                raise UserError(f"{source} has no array {', '.join(missing)}; {WAY_OUT}")
            return {name: archive[name] for name in NAMES}
    except UserError:
        raise
    except Exception as error:  # a damaged archive can raise nearly any exception
        raise _damaged(source, error) from error


def _read_folder(source: Path) -> Arrays:
    inner = source / "cifar-100-python"
    folder = inner if inner.is_dir() else source
    missing = [name for name in ("train", "test") if not (folder / name).is_file()]
    if missing:
        raise UserError(f"{folder} has no file {' and no file '.join(missing)}; {WAY_OUT}")
    arrays: Arrays = {}
    for split in ("train", "test"):
        images, labels = _read_pickle(folder / split)
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    return arrays


def _read_pickle(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """One file of the release: ``data`` [N, 3072] uint8, red, green, blue; ``fine_labels``."""
    try:
        with path.open("rb") as file:
            content = _ArraysOnly(file, encoding="latin1").load()
        rows, labels = np.asarray(content["data"]), np.asarray(content["fine_labels"])
        return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels
    except _ForbiddenError as error:
        raise UserError(f"{path} is refused: it {error}; {WAY_OUT}") from error
    except Exception as error:  # and so can a damaged pickle
        raise _damaged(path, error) from error


class _ForbiddenError(Exception):
    """A pickle asks for something that no array consists of."""


class _ArraysOnly(pickle.Unpickler):
    """Unpickles containers, text, numbers and NumPy arrays; nothing else is even looked up."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise _ForbiddenError(f"would run {module}.{name}") from None


def _check(arrays: Arrays, split: str, source: Path) -> None:
    images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (32, 32, 3):
        found = f"{images.dtype} {list(images.shape)}"
        raise UserError(f"{source}: {split}_images is {found}, not uint8 [N, 32, 32, 3]; {WAY_OUT}")
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        found = f"{labels.dtype} {list(labels.shape)}"
        expected = f"integers [{len(images)}]"
        raise UserError(f"{source}: {split}_labels is {found}, not {expected}; {WAY_OUT}")
    if len(labels) and not 0 <= labels.min() <= labels.max() < len(CLASSES):
        found = f"{labels.min()}..{labels.max()}"
        raise UserError(f"{source}: {split}_labels has {found}, not 0..99; {WAY_OUT}")


def _damaged(path: Path, error: Exception) -> UserError:
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    return UserError(f"{path} is damaged, truncated or not the data ({reason}); {WAY_OUT}")
