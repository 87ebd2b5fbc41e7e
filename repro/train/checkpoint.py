"""A checkpoint is one file: the SHA-256 of what follows, then safetensors. Never pickle."""

import hashlib
import json
import os
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from repro import faults
from repro.errors import UserError
from repro.files import failed, write_atomically

DIGEST_BYTES = 32


class DamagedCheckpoint(UserError):
    """The file is truncated, altered or not a checkpoint."""


def save(
    path: Path, tensors: dict[str, Tensor], meta: dict[str, object], stage: Path | None = None
) -> None:
    """Write ``tensors`` and ``meta`` atomically; the one before is kept as ``<name>.previous``.

    ``stage`` and what is raised: as for ``write_atomically``.
    """
    contiguous = {name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()}
    body = safetensors.torch.save(contiguous, {"meta": json.dumps(meta)})
    try:
        if path.exists():
            if stage:
                os.utime(stage)
            path.replace(previous(path))
            faults.point(f"{path.name} kept as the previous one", path)
    except OSError as error:
        raise failed(path, error, stage) from error
    write_atomically(path, hashlib.sha256(body).digest() + body, stage)


def previous(path: Path) -> Path:
    return path.with_name(path.name + ".previous")


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Tensors (on the CPU) and meta. Raises DamagedCheckpoint with the file's name, and UserError
    where it cannot be read, which says nothing of its content."""
    try:
        data = path.read_bytes()
    except (FileNotFoundError, IsADirectoryError) as error:
        raise DamagedCheckpoint(f"{path} is no file") from error
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): see to it, or remove it to go on from an "
            "earlier one"
        ) from error
    digest, body = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise DamagedCheckpoint(f"{path} is damaged: its checksum does not match its content")
    try:
        header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
        meta = json.loads(header["__metadata__"]["meta"])
        if not isinstance(meta, dict):
            raise TypeError("its meta is no mapping")
        return safetensors.torch.load(body), meta
    except (ValueError, KeyError, TypeError, RecursionError, safetensors.SafetensorError) as error:
        raise DamagedCheckpoint(f"{path} is damaged: {type(error).__name__}") from error
