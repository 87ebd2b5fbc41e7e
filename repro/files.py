"""Durable writes: what is on disk under a final name is always whole.

``stage``: the directory of a lease (``repro.leases``), in which new content is made before it gets
its name. Whoever takes a lease over takes that directory away, and then no write of the old owner
can succeed any more: it raises LeaseLost.
"""

import errno
import hashlib
import os
import secrets
from functools import cache
from pathlib import Path

from repro import faults
from repro.errors import LeaseLost, UserError

RESERVE = "reserve"  # in a stage: room for a last status where the disk is full
RESERVE_BYTES = 4096
FULL = (errno.ENOSPC, errno.EDQUOT)
GONE = (errno.ENOENT, errno.ESTALE)


class DiskFull(UserError):
    """There is no room to write."""


def write_atomically(path: Path, content: bytes | str, stage: Path | None = None) -> None:
    """Write to a temporary name, flush to disk, rename. A crash leaves the old file or the new.

    Raises UserError when the directory cannot be written, DiskFull when there is no room, and
    LeaseLost when ``stage`` is gone.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = (stage or path.parent) / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            faults.point(f"{path.name} staged", path)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise failed(path, error, stage) from error
    faults.point(f"{path.name} written", path)


def write_reserved(path: Path, content: str, stage: Path) -> None:
    """As ``write_atomically`` in the bytes that the stage keeps for it: a full disk has room.

    Raises DiskFull where they were used already or are too few.
    """
    reserve, data = stage / RESERVE, content.encode()
    if len(data) > RESERVE_BYTES or not reserve.exists():
        raise DiskFull(f"cannot write {path}: no room is left")
    try:
        with reserve.open("r+b") as file:
            file.write(data.ljust(RESERVE_BYTES))
            file.flush()
            os.fsync(file.fileno())
        reserve.replace(path)
    except OSError as error:
        raise failed(path, error, stage) from error


def remove(path: Path, stage: Path | None = None) -> None:
    """Remove a file, if it is there. Raises as ``write_atomically`` does."""
    try:
        if stage:
            path = path.rename(stage / f".{path.name}.removed")
        path.unlink()
    except FileNotFoundError as error:
        if stage and not stage.exists():
            raise failed(path, error, stage) from error
    except OSError as error:
        raise failed(path, error, stage) from error


def append_line(path: Path, line: str, stage: Path | None = None) -> None:
    """Append one line and flush it to disk. Raises as ``write_atomically`` does.

    The lease is looked at after the file was opened: who takes over writes a new file before it
    appends, so what a late owner still writes is in the old one, which has no name any more.
    """
    try:
        with path.open("ab") as file:
            if stage:
                os.utime(stage)
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise failed(path, error, stage) from error
    faults.point(f"{path.name} appended", path)


def make_directory(path: Path) -> Path:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    return path


def failed(path: Path, error: OSError, stage: Path | None) -> Exception:
    """What a failed write is: LeaseLost where the stage is gone, else UserError or DiskFull."""
    if stage and error.errno in GONE and not stage.exists():
        return LeaseLost(f"{path.parent} was taken over by another process")
    return cannot_write(path, error)


def cannot_write(path: Path, error: OSError) -> UserError:
    kind = DiskFull if error.errno in FULL else UserError
    return kind(
        f"cannot write {path}: {error.strerror or error}; free space or rights, or another "
        "--runs-dir, then the same command goes on where it stopped"
    )


def sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@cache
def digest_of(path: Path, size: int, changed_ns: int) -> str:  # noqa: ARG001
    """SHA-256 of a file, read once while it has this size and this time of its last change."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
