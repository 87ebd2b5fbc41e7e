"""The directory of a lease, ``<record>/lease/<fence>.<token>/``: who owns it, and how it goes.

See ``repro.leases``.
"""

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from repro.records import Record

SILENT_SECONDS = 60.0  # without a heartbeat: longer than network file systems keep attributes
LEASE, OWNER = "lease", "owner.json"
Purpose = Literal["training", "mirror", "sync", "closing"]


def boot() -> str:
    """What tells this boot of this machine, also across its containers; "" where nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True)
class Owner:
    """Who holds a lease. ``launch``: one command with its worker processes; ``since_ms``: 1970."""

    launch: str
    purpose: Purpose
    host: str
    pid: int
    boot: str
    since_ms: int


def fence_of(stage: Path) -> int:
    number = stage.name.partition(".")[0]
    return int(number) if number.isdigit() else 0


def stage_of(directory: Path) -> Path | None:
    """The stage of a record's lease; None where nobody holds it."""
    try:
        return next((directory / LEASE).iterdir(), None)
    except OSError:
        return None


def owner_of(stage: Path) -> Owner | None:
    """None where it is being released, or its file was lost in a power failure."""
    try:
        return Owner(**json.loads((stage / OWNER).read_text()))
    except (OSError, ValueError, TypeError):
        return None


def quiet(record: Record, seconds: float = SILENT_SECONDS) -> bool:
    """Does its owner seem to be gone, by the clocks? They may be wrong: for hints, not to write."""
    stage = stage_of(record.directory)
    try:
        return stage is None or time.time() - (stage / OWNER).stat().st_mtime > seconds
    except OSError:
        return True


def evict(directory: Path, stage: Path, lock: int | None = None) -> None:
    """Take a stage away, which only one process can do, and remove it: who still has a handle of
    it on a network file system must not be able to use it. ``lock``: our own handle, closed."""
    remove_stage(directory, stage, lock)
    with suppress(OSError):
        (directory / LEASE).rmdir()


def remove_stage(directory: Path, made: Path, lock: int | None = None) -> None:
    """Renamed first: whoever is at work in it finds all of it or nothing. An open file would leave
    a name behind on a network file system."""
    gone = directory / f".gone.{made.name.lstrip('.')}"
    with suppress(OSError):
        made.rename(gone)
    if lock is not None:
        os.close(lock)
    shutil.rmtree(gone, ignore_errors=True)


def tidy(directory: Path, purpose: Purpose) -> None:
    """Remove what processes that were killed have left beside the lease."""
    for path in directory.glob(f".{LEASE}.*"):
        remove_stage(directory, path)
    for path in directory.glob(".gone.*"):
        shutil.rmtree(path, ignore_errors=True)
    for path in directory.glob(".*.tmp") if purpose == "training" else ():  # else it may be in use
        path.unlink(missing_ok=True)
