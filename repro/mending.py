"""A damaged record is mended before its run goes on, and nothing of it is thrown away.

A power failure, a bad disk or an editor can leave any file of a record in any state. What cannot be
read stays beside it as ``<name>.damaged-<time>``; what can is kept, and the run goes on from the
newest checkpoint that the rest of its history reaches, or starts again.
"""

import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from repro.errors import UserError
from repro.files import failed
from repro.records import Record, Status, now_ms
from repro.resume import ResumePoint
from repro.spec import Run, key
from repro.train import checkpoint
from repro.train.student import Student

STARTED = re.compile(rb'"started_ms": *(\d{10,16})\b')
TRAINED = ("status.json", "history.jsonl", "checkpoint", "checkpoint.previous")
SIDE_FILES = ("environment.json", "mlflow.json")  # written anew


def mend(record: Record, run: Run, tags: dict[str, str]) -> list[str]:
    """Make the record of ``run`` readable, under its lease; returns lines that say what was done.

    Raises UserError where the directory cannot be written, LeaseLost once another process has it.
    """
    if not record.exists():
        if not any((record.directory / name).exists() for name in TRAINED):
            return []  # it was never begun
        record.create(run, tags)  # the rest of a copy that broke off
    lines = _run(record, run, tags) + _history(record) + _status(record)
    for name in SIDE_FILES:
        if _damaged(partial(record.read_json, name), dict):
            lines.append(f"{keep_aside(record, name)}; it is written anew")
    return lines


def keep_aside(record: Record, name: str) -> str:
    """Rename a file of the record to a name that says it is damaged; returns what to say.

    Raises UserError where that cannot be, LeaseLost once another process has the run.
    """
    path = record.directory / name
    time = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    kept = path.with_name(f"{name}.damaged-{time}")
    try:
        if record.stage:
            os.utime(record.stage)  # ours?
        path.rename(kept)
    except OSError as error:
        raise failed(path, error, record.stage) from error
    return f"{path} is damaged, kept as {kept.name}"


def _damaged(read: Callable[[], object], expected: type | tuple[type, ...]) -> bool:
    try:
        return not isinstance(read(), (expected, type(None)))
    except UserError:
        return True


def _run(record: Record, run: Run, tags: dict[str, str]) -> list[str]:
    def read() -> Run:
        record.tags()
        found = record.run()
        if key(found) != record.key:
            raise UserError("of another run")
        return found

    if not _damaged(read, Run):
        return []
    line = keep_aside(record, "run.json")
    record.create(run, tags)
    return [f"{line}; it is written anew"]


def _history(record: Record) -> list[str]:
    if not _damaged(record.history, list):
        return []
    good = record.whole_lines()
    line = keep_aside(record, "history.jsonl")
    if good:
        record.write("history.jsonl", b"".join(text + b"\n" for text in good))
    return [f"{line}; {len(good)} epochs of it are good"]


def _status(record: Record) -> list[str]:
    if not _damaged(record.status, Status):
        return []
    try:
        found = STARTED.search((record.directory / "status.json").read_bytes())
    except OSError:
        found = None
    history = record.history()
    started = int(found[1]) if found else (history[0].get("time_ms") if history else None)
    line = keep_aside(record, "status.json")
    reason = "its status was damaged"
    times = started if isinstance(started, int) else now_ms()
    record.write_status(Status("STOPPED", times, max(now_ms(), times), reason))
    return [f"{line}; the run goes on from its last checkpoint"]


def damaged_files(directory: Path) -> list[Path]:
    """What was kept aside in a record."""
    return sorted(directory.glob("*.damaged-*"))


def restore(student: Student, record: Record, point: ResumePoint) -> None:
    """The student at ``point``; a checkpoint that is of no use is kept aside. Raises UserError for
    one of another network."""
    if point.state is None:
        for path in (record.checkpoint, checkpoint.previous(record.checkpoint)):
            if path.exists():  # of no use now, but somebody's training
                keep_aside(record, path.name)
        record.restart()
        return
    if point.note and record.checkpoint.exists():  # no good: it must not become the previous one
        keep_aside(record, record.checkpoint.name)
    try:
        student.load_state(point.state)
    except RuntimeError as error:
        kept = keep_aside(record, record.checkpoint.name)
        raise UserError(
            f"{kept}: it does not fit {student.run.network}; the same command goes on without it"
        ) from error
    record.cut_history(point.next_epoch)
