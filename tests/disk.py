"""Disks that fail, for the tests of what is written."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

FAILURES = {
    "full": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "read-only": OSError(errno.EROFS, os.strerror(errno.EROFS)),
    "not allowed": PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
}


def fail(monkeypatch: pytest.MonkeyPatch, call: str, error: BaseException) -> None:
    """Let one of ``fsync``, ``open`` (for writing) and ``replace`` raise ``error``."""

    def broken(*_args: Any, **_named: Any) -> Any:
        raise error

    if call == "fsync":
        monkeypatch.setattr(os, "fsync", broken)
    elif call == "replace":
        monkeypatch.setattr(Path, "replace", broken)
    else:
        real = Path.open

        def open_to_read(path: Path, mode: str = "r", *args: Any, **named: Any) -> Any:
            return broken() if set(mode) & set("wax+") else real(path, mode, *args, **named)

        monkeypatch.setattr(Path, "open", open_to_read)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())
