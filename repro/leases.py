"""Leases: of all processes, on however many machines, one at a time writes to a run's record.

``<record>/lease/<fence>.<token>/`` is the lease and the stage of its owner's writes at once. To
take one is to rename a directory, which only one process can do; whoever takes it over from a dead
owner moves that directory away, so that the old owner's next write fails (``repro.files``). The
*fencing number* counts the owners of a record.

An owner lives as long as its heart beats: a thread touches ``owner.json``. An observer sees by its
own monotonic clock how long the time of that file stays the same, so it does not matter what any
clock says or whether it jumps. A stopped process is silent, too. On the same machine the kernel
tells sooner: it drops the lock on ``owner.json`` when its owner dies.
"""

import errno
import fcntl
import json
import os
import platform
import secrets
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from repro import faults
from repro.errors import LeaseLost, UserError
from repro.files import GONE, RESERVE, RESERVE_BYTES, cannot_write, make_directory, write_atomically
from repro.records import Record, now_ms
from repro.stages import (
    LEASE,
    OWNER,
    SILENT_SECONDS,
    Owner,
    Purpose,
    boot,
    evict,
    fence_of,
    owner_of,
    stage_of,
    tidy,
)

BEATS = 6  # heartbeats in this time
# Where two make a lease at once the first one is in the other's way, or has tidied its stage away.
TOO_LATE = (errno.ENOTEMPTY, errno.EEXIST, *GONE)
LEASE_SECONDS = "REPRO_LEASE_SECONDS"  # of silence after which an owner elsewhere counts as dead


@dataclass
class Lease:
    """A held lease. ``lock``: the descriptor whose lock the kernel drops at death; None: borrowed
    from another process of the same launch. ``users``: of this process."""

    directory: Path  # the record's
    stage: Path
    lock: int | None
    purpose: Purpose = "training"
    users: int = 1
    lost: bool = False

    @property
    def fence(self) -> int:
        return fence_of(self.stage)

    def beat(self) -> None:
        """Show life. Raises LeaseLost where another process took over."""
        try:
            os.utime(self.stage / OWNER)
        except OSError as error:
            self.lost = True
            raise LeaseLost(f"{self.directory} was taken over by another process") from error


def asked_seconds() -> float:
    """REPRO_LEASE_SECONDS, where it is set. Raises UserError unless it is a number above 0."""
    text = os.environ.get(LEASE_SECONDS, str(SILENT_SECONDS))
    with suppress(ValueError):
        if 0 < float(text) < threading.TIMEOUT_MAX:
            return float(text)
    raise UserError(f"{LEASE_SECONDS} is a number of seconds above 0, not {text!r}")


class Leases:
    """The leases of one process. ``launch`` names the command; its workers share the name."""

    def __init__(self, launch: str = "", silent_seconds: float | None = None) -> None:
        self.silent_seconds = asked_seconds() if silent_seconds is None else silent_seconds
        self.launch, self.boot = launch or secrets.token_hex(6), boot()
        self.held: dict[Path, Lease] = {}
        self.seen: dict[Path, tuple[int, float]] = {}  # by stage: its last beat, and when first so
        self.killed: set[tuple[str, int]] = set()  # host, pid: workers that the launcher saw die
        self.lock = threading.RLock()
        self.heart: threading.Thread | None = None

    @contextmanager
    def holding(self, record: Record, purpose: Purpose) -> Iterator[Record | None]:
        """The record to write to, within the block; None where another process holds it."""
        lease = self.take(record, purpose)
        try:
            yield replace(record, stage=lease.stage) if lease else None
        finally:
            if lease:
                self.release(lease)

    def take(self, record: Record, purpose: Purpose) -> Lease | None:
        """The record's lease, also where this process has it already; None: another one holds it.

        Each take needs a ``release``. Raises UserError where the directory cannot be written.
        """
        with self.lock:
            mine = self.held.get(record.directory)
            if mine and not mine.lost:
                mine.users += 1
                return mine
            stage = stage_of(record.directory)
            if stage and not self.dead(stage):
                return self._borrowed(record, stage, purpose)
            if stage:
                evict(record.directory, stage)
            try:
                lease = self._acquired(record, purpose, fence_of(stage) if stage else 0)
            except (OSError, UserError) as error:
                cause = _cause(error)
                if isinstance(cause, OSError):  # the user knows no file beneath
                    raise cannot_write(record.directory, cause) from error
                raise
            if lease:
                self.held[record.directory] = lease
                self._beat_from_now_on()
            return lease

    def _borrowed(self, record: Record, stage: Path, purpose: Purpose) -> Lease | None:
        """What a worker of this launch trains, its launcher may mirror."""
        owner = owner_of(stage)
        ours = owner and owner.launch == self.launch and owner.purpose == "training"
        return Lease(record.directory, stage, None) if ours and purpose == "mirror" else None

    def _acquired(self, record: Record, purpose: Purpose, seen: int) -> Lease | None:
        """A lease made aside, then renamed into its place. None where another process was first."""
        directory, token = make_directory(record.directory), secrets.token_hex(8)
        made = directory / f".{LEASE}.{token}"
        name = f"{1 + max(seen, record.fence())}.{token}"
        lock = None
        try:
            lock = self._made(made / name, purpose)
            made.rename(directory / LEASE)  # fails where there is one with an owner
        except (OSError, UserError) as error:
            if lock is not None:
                os.close(lock)
            shutil.rmtree(made, ignore_errors=True)
            if getattr(_cause(error), "errno", None) in TOO_LATE:
                return None
            raise
        faults.point("lease taken", directory)
        tidy(directory, purpose)
        return Lease(directory, directory / LEASE / name, lock, purpose)

    def _made(self, stage: Path, purpose: Purpose) -> int:
        """Make a stage; returns the descriptor that holds its lock."""
        stage.mkdir(parents=True)
        host, pid = platform.node(), os.getpid()
        owner = Owner(self.launch, purpose, host, pid, self.boot, since_ms=now_ms())
        write_atomically(stage / OWNER, json.dumps(asdict(owner)))
        (stage / RESERVE).write_bytes(b" " * RESERVE_BYTES)
        lock = os.open(stage / OWNER, os.O_RDWR)
        with suppress(OSError):  # a file system without locks: then the heartbeat alone tells
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock

    def release(self, lease: Lease) -> None:
        """Give it back once nobody of this process uses it. Nothing is left behind."""
        with self.lock:
            lease.users -= 1
            if lease.users or lease.lock is None:
                return
            if self.held.get(lease.directory) is lease:
                del self.held[lease.directory]
            evict(lease.directory, lease.stage, lease.lock)
            faults.point("lease given back", lease.directory)
        with suppress(OSError):
            lease.directory.rmdir()  # nothing was written there

    def release_all(self) -> None:
        """At the end of a process: also what a thread still uses, which is too late."""
        with self.lock:
            for lease in list(self.held.values()):
                lease.users = 1
                self.release(lease)

    def dead(self, stage: Path) -> bool:
        """Is the owner of this stage gone? To know of a silent one it must be asked repeatedly."""
        owner = owner_of(stage)
        if owner and owner.boot and owner.boot == self.boot and _unlocked(stage / OWNER):
            return True
        if owner and owner.launch == self.launch and (owner.host, owner.pid) in self.killed:
            return True
        try:
            beat = (stage / OWNER if owner else stage).stat().st_mtime_ns
        except OSError:
            return False  # it has just been released
        now = time.monotonic()
        if stage not in self.seen or self.seen[stage][0] != beat:
            self.seen[stage] = (beat, now)
        return now - self.seen[stage][1] > self.silent_seconds

    def _beat_from_now_on(self) -> None:
        if self.heart is None or not self.heart.is_alive():
            self.heart = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
            self.heart.start()

    def _beat(self) -> None:
        while True:
            time.sleep(self.silent_seconds / BEATS)
            with self.lock:
                held = list(self.held.values())
                if not held:
                    self.heart = None
                    return
            for lease in held:
                with suppress(LeaseLost):  # it knows that it is lost
                    lease.beat()


def _cause(error: BaseException) -> BaseException | None:
    """The system's error that a UserError was made of."""
    return error if isinstance(error, OSError) else error.__cause__


def _unlocked(path: Path) -> bool:
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
