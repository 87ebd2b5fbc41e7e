"""A process a device; each takes the next cohort that is ready, the costliest first."""

import multiprocessing
import os
import queue
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from repro.environment import prepare
from repro.errors import UserError
from repro.execute.inline import run_apart, runnable
from repro.limits import Interrupted, Limits, OutOfTime
from repro.plan import Cohort, TeacherChoice, TeacherUse, Wave, teacher_passes
from repro.progress import TerminalProgress
from repro.records import Record
from repro.runtime import Runtime, Stopped
from repro.spec import key
from repro.teachers import check_choice
from repro.train.step import Engine

POLL_SECONDS = 0.2  # between two looks at signals and at workers that have died


@dataclass(frozen=True)
class Setup:
    """What a worker needs to know; ``deadline`` on the clock that all processes share."""

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


@dataclass
class Worker:
    """``busy``: the cohort that it trains."""

    process: BaseProcess
    inbox: Any
    busy: Cohort | None = None


@dataclass
class Outbox:
    """A worker's tracker, and the file to which its progress is printed: all goes to the parent."""

    device: str
    messages: Any
    text: str = ""

    def update(self, record: Record) -> None:
        self.messages.put(("update", self.device, record.key))

    def write(self, text: str) -> None:
        *lines, self.text = (self.text + text).split("\n")
        for line in lines:
            self.messages.put(("line", self.device, f"{self.device} {line}"))

    def flush(self) -> None: ...


def local(
    waves: tuple[Wave, ...], runtime: Runtime, devices: Sequence[torch.device]
) -> list[Cohort]:
    """Train every cohort on ``devices``; returns those, or their parts, whose teacher failed.

    Raises what stopped the training: Stopped, or a UserError of a worker. Statuses are truthful
    then, and every worker has ended.
    """
    check_choice(waves, runtime.teacher)
    runtime.teacher_passes = teacher_passes(waves)
    return Queue(waves, runtime, devices).run()


@dataclass
class Queue:
    """The parent's side. ``waiting``: cohorts in the order of the plan."""

    waves: tuple[Wave, ...]
    runtime: Runtime
    devices: Sequence[torch.device]
    waiting: list[Cohort] = field(default_factory=list)
    blocked: list[Cohort] = field(default_factory=list)
    error: Exception | None = None
    look_at: float = 0.0

    def run(self) -> list[Cohort]:
        self.waiting = [cohort for wave in self.waves for cohort in wave]
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        self.messages = context.Queue()
        self.workers: dict[str, Worker] = {}
        for number, device in enumerate(self.devices):
            name = f"{device}#{number}" if self.devices.count(device) > 1 else f"{device}"
            inbox = context.Queue()
            setup = (self._setup(device), name, inbox, self.messages)
            self.workers[name] = Worker(context.Process(target=work, args=setup), inbox)
        for worker in self.workers.values():
            worker.process.start()
        try:
            self._feed()
        except BaseException:  # such as a second Ctrl-C
            for worker in self.workers.values():
                worker.process.terminate()
            raise
        finally:
            for worker in self.workers.values():
                worker.inbox.put(None)
            for worker in self.workers.values():
                worker.process.join()
        if self.error:
            raise self.error
        return self.blocked

    def _setup(self, device: torch.device) -> Setup:
        runtime = self.runtime
        return Setup(
            device=str(device),
            runs_dir=runtime.runs_dir,
            data_dir=runtime.data_dir,
            tags=runtime.tags,
            engine=runtime.engine,
            teacher=runtime.teacher,
            teacher_passes=runtime.teacher_passes,
            speed=runtime.speed,
            threads=torch.get_num_threads(),
            deadline=runtime.deadline,
            cohorts=len(self.waiting),
        )

    def _feed(self) -> None:
        """Until nothing waits and nobody is busy."""
        while self.waiting or any(worker.busy for worker in self.workers.values()):
            for worker in self.workers.values():
                if worker.busy is None and worker.process.is_alive():
                    worker.busy = self._next()
                    if worker.busy:
                        worker.inbox.put(worker.busy)
            if not any(worker.busy for worker in self.workers.values()):
                return  # no worker is left, or what waits is blocked
            self._hear()

    def _next(self) -> Cohort | None:
        """The first cohort whose teacher is finished, or never will be: then its part without."""
        if self.error:
            self.waiting.clear()
        busy = [worker.busy for worker in self.workers.values() if worker.busy]
        to_come = {key(run) for cohort in (*busy, *self.waiting) for run in cohort.runs}
        for cohort in list(self.waiting):
            ready, blocked = runnable(cohort, self.runtime)
            if blocked and cohort.teacher and key(cohort.teacher) in to_come:
                continue
            self.waiting.remove(cohort)
            self.blocked += [blocked] if blocked else []
            if ready:
                return ready
        return None

    def _hear(self) -> None:
        """One message, if there is one; now and then, a look at signals and at the dead."""
        with suppress(queue.Empty):
            self._take(*self.messages.get(timeout=POLL_SECONDS))
        if time.monotonic() >= self.look_at:
            self.look_at = time.monotonic() + POLL_SECONDS
            self._look()

    def _take(self, kind: str, name: str, what: Any) -> None:
        if kind == "line":
            self.runtime.progress.line(what)
        elif kind == "update":
            self.runtime.tracker.update(self.runtime.records.of(what))
        else:
            cohort, self.workers[name].busy = self.workers[name].busy, None
            epochs, views, error = what
            self.runtime.epochs_done += epochs
            self.runtime.views_done += views
            if kind == "broken" and cohort:
                self.runtime.broken.append(cohort)
            elif kind == "stopped":
                self._stop(error)

    def _look(self) -> None:
        try:
            self.runtime.tick()
        except Stopped as error:
            self._stop(error)
        for name, worker in self.workers.items():
            if worker.busy and not worker.process.is_alive():
                self._mourn(name, worker.busy)
                worker.busy = None

    def _mourn(self, name: str, cohort: Cohort) -> None:
        """A worker that died; it may have finished its cohort, and the message be on its way."""
        states = {self.runtime.records.state(key(run)) for run in cohort.runs}
        if states <= {"FINISHED", "FAILED"}:
            return
        code = self.workers[name].process.exitcode
        line = f"{name}: its process ended with code {code} in {cohort.label}"
        self.runtime.progress.line(f"{line}; the same command goes on")
        self.runtime.broken.append(cohort)

    def _stop(self, error: Exception) -> None:
        """The first reason to stop ends every cohort at its next step."""
        if self.error:
            return
        self.error = error
        for worker in self.workers.values():
            if worker.busy and worker.process.pid and worker.process.is_alive():
                os.kill(worker.process.pid, signal.SIGTERM)


def work(setup: Setup, name: str, inbox: Any, messages: Any) -> None:
    """A worker: cohort after cohort until None comes."""
    torch.set_num_threads(setup.threads)
    device = torch.device(setup.device)
    prepare(device)
    seconds = None if setup.deadline is None else setup.deadline - time.monotonic()
    limits = Limits(seconds)
    outbox = Outbox(name, messages)
    console = Console(file=outbox, soft_wrap=True, width=200)  # type: ignore[arg-type]
    progress = TerminalProgress(console, setup.cohorts)
    with limits.signals():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it, and sends SIGTERM
        runtime = Runtime(
            runs_dir=setup.runs_dir,
            data_dir=setup.data_dir,
            device=device,
            tracker=outbox,
            progress=progress,
            tags=setup.tags,
            tick=limits.tick,
            before_epoch=limits.before_epoch,
            engine=setup.engine,
            speed=setup.speed,
            teacher=setup.teacher,
            teacher_passes=setup.teacher_passes,
        )
        while cohort := inbox.get():
            messages.put(_train(cohort, runtime, name))


def _train(cohort: Cohort, runtime: Runtime, name: str) -> tuple[str, str, Any]:
    """How it ended, and (epochs, views of banks, error) of this cohort."""
    runtime.epochs_done = runtime.views_done = 0
    kind, reason = "ended", None
    try:
        run_apart(cohort, runtime)
    except (UserError, Interrupted, OutOfTime) as error:
        kind, reason = "stopped", error
    if cohort in runtime.broken:
        kind = "broken"
    return kind, name, (runtime.epochs_done, runtime.views_done, reason)
