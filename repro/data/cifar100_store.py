"""The one file that CIFAR-100 is kept in: safetensors whose bytes depend on the images alone."""

import hashlib
import json
import os
import secrets
from pathlib import Path

import numpy as np

from repro.data.cifar100_source import NAMES, Arrays
from repro.errors import UserError


def store(arrays: Arrays, path: Path) -> Path:
    """Write the arrays of ``NAMES`` (uint8), unless the file at ``path`` holds these bytes already.

    The file appears whole or not at all. Raises UserError where it cannot be written.
    """
    # The header is written here, not by the safetensors library, whose choice of order and padding
    # may change: the SHA-256 of the file is a constant of this project.
    parts: list[bytes | memoryview] = [
        _header(arrays),
        *(np.ascontiguousarray(arrays[name]).data for name in NAMES),
    ]
    try:
        if not _holds(path, parts):
            _replace(path, parts)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error}); give another folder") from error
    return path


def _header(arrays: Arrays) -> bytes:
    """The safetensors header: its length (8 bytes, little-endian), then JSON, space-padded."""
    entries, start = {}, 0
    for name in NAMES:
        end = start + arrays[name].nbytes
        shape = list(arrays[name].shape)
        entries[name] = {"dtype": "U8", "shape": shape, "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _holds(path: Path, parts: list[bytes | memoryview]) -> bool:
    if not path.exists():
        return False
    expected = hashlib.sha256()
    for part in parts:
        expected.update(part)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest() == expected.digest()


def _replace(path: Path, parts: list[bytes | memoryview]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}")  # two imports never share one
    try:
        with partial.open("xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
