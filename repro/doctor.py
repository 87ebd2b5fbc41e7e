"""``repro doctor``: what is wrong here, and what cures it. It changes nothing."""

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

import torch
from packaging.requirements import Requirement
from rich.console import Console

from repro import filled
from repro.data.cifar100 import FILE, verify
from repro.environment import device_name
from repro.errors import UserError
from repro.leases import LEASE_SECONDS, Leases, asked_seconds
from repro.mending import damaged_files
from repro.records import Record, Records
from repro.resume import resume_point
from repro.stages import LEASE, quiet, stage_of
from repro.train.weights import load_half

Level = Literal["ok", "note", "problem"]
LITTLE_BYTES, SMALL_BYTES = 1 << 30, 10 << 30  # of free disk: a problem, a note
SLOW_SECONDS = 0.1  # for a small file to be on disk: an epoch writes a few
NETWORK = ("nfs", "cifs", "smb", "lustre", "fuse", "gpfs", "beegfs", "9p")
SHOWN = 3  # of findings of a kind


@dataclass(frozen=True)
class Finding:
    level: Level
    what: str
    cure: str = ""


@dataclass(frozen=True)
class Place:
    """What is looked at."""

    runs_dir: Path
    data_dir: Path

    @property
    def database(self) -> Path:
        return self.runs_dir / "mlflow.db"


Check = Callable[[Place], Iterator[Finding]]


def doctor(console: Console, runs_dir: Path, data_dir: Path) -> int:
    """Print a line a finding; returns the exit code: 1 where there is a problem."""
    problems = 0
    for check in CHECKS:
        for finding in findings(check, Place(runs_dir, data_dir)):
            problems += finding.level == "problem"
            cure = f"\n         cure: {finding.cure}" if finding.cure else ""
            console.print(f"{finding.level:8} {finding.what}{cure}", highlight=False, markup=False)
    console.print(f"{problems} problem{'s' * (problems != 1)}", highlight=False)
    return 1 if problems else 0


def findings(check: Check, place: Place) -> Iterator[Finding]:
    """Those of a check; one that breaks is a problem itself, and the others go on."""
    try:
        yield from check(place)
    except Exception as error:
        name = check.__name__.replace("_", " ")
        line = f"{type(error).__name__}: {error}".partition("\n")[0]
        yield Finding("problem", f"the check of {name} broke: {line}", "see the error")


def settings(_: Place) -> Iterator[Finding]:
    """A setting that is wrong is told once; the other checks go by its default."""
    try:
        asked_seconds()
    except UserError as error:
        del os.environ[LEASE_SECONDS]
        yield Finding("problem", str(error), f"unset {LEASE_SECONDS}, or give a number")


def packages(_: Place) -> Iterator[Finding]:
    wrong = []
    for text in requires("cmkd-repro") or ():
        need = Requirement(text)
        if need.marker and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(need.name)
        except PackageNotFoundError:
            found = "missing"
        if found == "missing" or not need.specifier.contains(found, prereleases=True):
            wrong.append(f"{need.name} is {found}, not {need.specifier}")
    for line in wrong:
        yield Finding("problem", line, "make setup, or pip install -r requirements.lock")
    if not wrong:
        yield Finding("ok", f"packages; torch {torch.__version__}")


def gpu(_: Place) -> Iterator[Finding]:
    if not torch.cuda.is_available():
        yield Finding("note", f"no GPU, {os.cpu_count()} cores: profile auto is quick")
        return
    for number in range(torch.cuda.device_count()):
        device = torch.device("cuda", number)
        free, total = torch.cuda.mem_get_info(device)
        room = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB free"
        yield Finding("ok", f"{device}: {device_name(device)}, {room}")


def disk(place: Place) -> Iterator[Finding]:
    """In the runs directory, or where it would be made."""
    folder = next(p for p in (place.runs_dir, *place.runs_dir.resolve().parents) if p.is_dir())
    free = shutil.disk_usage(folder).free
    level: Level = "problem" if free < LITTLE_BYTES else "note" if free < SMALL_BYTES else "ok"
    cure = "" if level == "ok" else "make room, or another --runs-dir"
    yield Finding(level, f"{free / 1e9:.1f} GB free in {folder}", cure)
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor") as made:
            yield from _writing(Path(made))
    except OSError as error:
        yield Finding("problem", f"{folder} cannot be written: {error.strerror}", "rights")


def _writing(folder: Path) -> Iterator[Finding]:
    began = time.monotonic()
    with (folder / "probe").open("wb") as file:
        file.write(b"x" * 4096)
        file.flush()
        os.fsync(file.fileno())
    seconds = time.monotonic() - began
    slow = seconds > SLOW_SECONDS
    cure = "a faster disk for --runs-dir" if slow else ""
    yield Finding("note" if slow else "ok", f"a small file is on disk in {seconds:.3f} s", cure)
    first, second, record = Leases(), Leases(), Record(folder / "records" / "probe")
    held = first.take(record, "sync")
    if held is None or second.take(record, "sync"):
        yield Finding("problem", "leases do not work here", "another --runs-dir")
    if held:
        first.release(held)


def file_system(place: Place, mounts: str = "") -> Iterator[Finding]:
    """``mounts``: as ``/proc/mounts``."""
    table = Path("/proc/mounts")
    mounts = mounts or (table.read_text() if table.exists() else "")
    path = place.runs_dir.resolve()
    found = [line.split()[1:3] for line in mounts.splitlines() if len(line.split()) > 2]
    above = [(point, kind) for point, kind in found if path.is_relative_to(point)]
    kind = max(above, key=lambda item: len(item[0]))[1] if above else "unknown"
    local = not kind.startswith(NETWORK)
    if not local and "MLFLOW_TRACKING_URI" not in os.environ:
        cure = "a tracking server (MLFLOW_TRACKING_URI), or sync the records elsewhere"
        yield Finding("problem", f"sqlite would lie on {kind}, where it gets damaged", cure)
    else:
        yield Finding("ok", f"file system {kind}")


def data(place: Place) -> Iterator[Finding]:
    try:
        verify(place.data_dir / FILE)
        yield Finding("ok", "CIFAR-100: its fingerprints are right")
    except UserError as error:
        there = (place.data_dir / FILE).exists()
        cure = "repro data fetch, or repro data import cifar100 PATH"
        yield Finding("problem" if there else "note", str(error), cure)


def database(place: Place) -> Iterator[Finding]:
    if not place.database.exists():
        yield Finding("note", "no database yet: the first run or `repro sync` makes it")
        return
    cure = f"move {place.database} away and run `repro sync`: the records hold everything"
    cures = {
        sqlite3.SQLITE_BUSY: "end the process that holds it",
        sqlite3.SQLITE_READONLY: "give yourself the right to write it and its directory",
        sqlite3.SQLITE_CANTOPEN: f"give yourself the right to read it, or {cure}",
        sqlite3.SQLITE_FULL: "make room",
    }
    try:
        with closing(sqlite3.connect(place.database, timeout=1.0)) as connection:
            answer = str(connection.execute("PRAGMA integrity_check").fetchone()[0])
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("CREATE TABLE made_by_doctor (x)")  # the first that needs the right
            connection.execute("ROLLBACK")
    except sqlite3.DatabaseError as error:
        kind = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        yield Finding("problem", f"{place.database}: {error}", cures.get(kind, cure))
        return
    sound = answer == "ok"
    yield Finding("ok" if sound else "problem", f"database: {answer}", "" if sound else cure)


def stale(place: Place) -> Iterator[Finding]:
    leases, cure = Leases(), "the next `repro run` there closes them"
    killed, dead, silent, litter = [], [], [], []
    for record in Records(place.runs_dir):
        stage = stage_of(record.directory)
        if Records(place.runs_dir).state(record.key) == "RUNNING" and not stage:
            killed.append(record.key[:12])
        if stage and leases.dead(stage):
            dead.append(record.key[:12])
        elif stage and quiet(record):  # of another machine, whose processes cannot be seen here
            silent.append(record.key[:12])
        for pattern in (f".{LEASE}.*", ".gone.*", ".*.tmp"):
            litter += [record.key[:12] for _ in record.directory.glob(pattern)]
    yield from _several(killed, "runs RUNNING that nobody trains", cure)
    yield from _several(dead, "leases of dead processes", cure)
    takes = "the next `repro run` there takes them over in a minute, unless they wake up"
    yield from _several(silent, "leases of silent processes", takes)
    yield from _several(litter, "files left by killed processes", "their next training")


def records(place: Place) -> Iterator[Finding]:
    leases, looked_at, unread, unfinished, failed = Leases(), 0, [], [], []
    if not place.runs_dir.exists():
        yield Finding("note", f"{place.runs_dir} does not exist: nothing was trained there yet")
        return
    browsed = filled.is_filled(place.runs_dir)
    for record in Records(place.runs_dir):
        stage = stage_of(record.directory)
        if stage and not leases.dead(stage) and not quiet(record):  # it is being written
            continue
        looked_at += 1
        try:
            run, status = record.run(), record.status()
            record.tags(), record.history()
            if status and status.state == "FINISHED":
                elsewhere = browsed or record.taken
                if record.weights.exists() or not elsewhere:
                    load_half(run, record.weights, torch.device("cpu"))
                whole = elsewhere or record.test_logits.exists()
                unfinished += [] if whole else [record.key[:12]]
            elif note := resume_point(record).note:
                unread.append(note)
            failed += [record.key[:12]] if status and status.state == "FAILED" else []
        except UserError as error:
            unread.append(str(error))
    yield from _several(unread, "damaged records", "`repro run` mends what it trains")
    yield from _several(unfinished, "finished runs without test logits", "remove them, run again")
    yield from _several(failed, "failed runs", "`repro status` says why", "note")
    if not unread and not unfinished:
        yield Finding("ok", f"{looked_at} records can be read")


def kept_aside(place: Place) -> Iterator[Finding]:
    found = [str(p) for record in Records(place.runs_dir) for p in damaged_files(record.directory)]
    cure = "look at them, then delete them: their runs go on without"
    yield from _several(found, "damaged files were kept aside", cure, "note")


def mlflow(place: Place) -> Iterator[Finding]:
    from repro.tracking import check_records  # seconds

    differing = check_records(Records(place.runs_dir), place.runs_dir)
    lines = [f"{record.key[:12]}: {words}" for record, words in differing]
    yield from _several(lines, "runs that MLflow shows otherwise", "repro sync")
    if not lines:
        yield Finding("ok", "MLflow shows what the records hold")


def _several(found: list[str], what: str, cure: str, level: Level = "problem") -> Iterator[Finding]:
    if found:
        more = ", ..." if len(found) > SHOWN else ""
        yield Finding(level, f"{len(found)} {what}: {', '.join(found[:SHOWN])}{more}", cure)


CHECKS: tuple[Check, ...] = (
    settings,
    packages,
    gpu,
    disk,
    file_system,
    data,
    database,
    stale,
    records,
    kept_aside,
    mlflow,
)
