"""The side that trains: in ``local`` a process that takes cohorts from a line until it ends."""

import multiprocessing
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.console import Console

from repro.environment import prepare
from repro.errors import UserError
from repro.execute.apart import train_apart
from repro.execute.board import Entry
from repro.leases import Leases
from repro.limits import Limits
from repro.plan import TeacherChoice, TeacherUse
from repro.progress import TerminalProgress
from repro.records import Record
from repro.runtime import Runtime, Stopped
from repro.spec import Run
from repro.train.step import Engine


@dataclass(frozen=True)
class Setup:
    """What a worker needs to know; ``deadline`` on the clock that all processes share."""

    name: str
    device: str
    runs_dir: Path
    data_dir: Path
    tags: dict[str, str]
    engine: Engine
    teacher: TeacherChoice
    teacher_passes: dict[TeacherUse, int]
    speed: float | None
    threads: int
    deadline: float | None
    cohorts: int
    launch: str
    workers: int | None = None
    checkpoint_seconds: float | None = None
    side_by_side: int = 1


def setup_of(runtime: Runtime, cohorts: int) -> Setup:
    """What the launcher's runtime tells a worker; its name and, unless it is the launcher's, its
    device are for the caller to say."""
    return Setup(
        name="",
        device=str(runtime.device),
        runs_dir=runtime.runs_dir,
        data_dir=runtime.data_dir,
        tags=runtime.tags,
        engine=runtime.engine,
        teacher=runtime.teacher,
        teacher_passes=runtime.teacher_passes,
        speed=runtime.speed,
        threads=torch.get_num_threads(),
        deadline=runtime.deadline,
        cohorts=cohorts,
        launch=runtime.leases.launch,
        workers=runtime.workers,
        checkpoint_seconds=runtime.checkpoint_seconds,
    )


@dataclass(frozen=True)
class Done:
    """A cohort's end. ``gained``: as a Runtime counts it; ``left``: runs another process has."""

    gained: int
    left: tuple[Run, ...]
    error: Exception | None


class Line(Protocol):
    def send(self, message: Any, /) -> None: ...


@dataclass
class Outbox:
    """A worker's tracker, and the file to which its progress is printed: all goes by the line."""

    name: str
    line: Line
    lock: Any = field(default_factory=threading.Lock)  # records are written by a thread
    text: str = ""

    def send(self, kind: str, what: Any) -> None:
        with self.lock, suppress(OSError):  # a launcher that died is noticed by ``tick``
            self.line.send((kind, what))

    def update(self, record: Record) -> None:
        self.send("update", record.key)

    def write(self, text: str) -> None:
        *lines, self.text = (self.text + text).split("\n")
        for line in lines:
            self.send("line", f"{self.name} {line}")

    def flush(self) -> None: ...


class WorkerLimits(Limits):
    """Also stops when the launcher has died; a signal that comes twice counts once."""

    def tick(self) -> None:
        launcher = multiprocessing.parent_process()
        if launcher and not launcher.is_alive():
            raise Stopped("its launcher has died")
        super().tick()

    def hear(self, number: int, _frame: object) -> None:
        self.signal = number


def work(setup: Setup, line: Connection) -> None:
    """A worker: cohort after cohort until the launcher closes the line."""
    seconds = None if setup.deadline is None else setup.deadline - time.monotonic()
    limits = WorkerLimits(seconds)
    signal.signal(signal.SIGTERM, limits.hear)
    torch.set_num_threads(setup.threads)
    prepare(torch.device(setup.device))
    outbox = Outbox(setup.name, line)
    runtime = runtime_of(setup, limits, outbox)
    with suppress(EOFError):
        while True:
            outbox.send(*train_entry(line.recv(), runtime))


def runtime_of(setup: Setup, limits: Limits, outbox: Outbox) -> Runtime:
    """Of a process that trains for a launcher."""
    console = Console(file=outbox, soft_wrap=True, width=200)  # type: ignore[arg-type]
    return Runtime(
        runs_dir=setup.runs_dir,
        data_dir=setup.data_dir,
        device=torch.device(setup.device),
        tracker=outbox,
        progress=TerminalProgress(console, setup.cohorts),
        tags=setup.tags,
        tick=limits.tick,
        before_epoch=limits.before_epoch,
        engine=setup.engine,
        speed=setup.speed,
        teacher=setup.teacher,
        teacher_passes=setup.teacher_passes,
        leases=Leases(setup.launch),
        workers=setup.workers,
        checkpoint_seconds=setup.checkpoint_seconds,
        side_by_side=setup.side_by_side,
    )


def train_entry(entry: Entry, runtime: Runtime) -> tuple[str, Done]:
    """How it ended, "ended" or "broken", and its end."""
    runtime.gained = 0
    runtime.broken.clear()
    reason: Exception | None = None
    left: tuple[Run, ...] = ()
    try:
        left = train_apart(entry.cohort, runtime, partly=entry.held)
    except (UserError, Stopped) as error:
        reason = error
    kind = "broken" if runtime.broken else "ended"
    return kind, Done(runtime.gained, left, reason)
