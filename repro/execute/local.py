"""A process a device; each takes the next cohort that is ready, the costliest first."""

import multiprocessing
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from repro.errors import UserError
from repro.execute.inline import runnable
from repro.execute.worker import Setup, work
from repro.limits import OutOfTime
from repro.plan import Cohort, Wave, teacher_passes
from repro.runtime import Runtime, Stopped
from repro.spec import key
from repro.teachers import check_choice

POLL_SECONDS = 0.2  # between two looks at signals


@dataclass
class Worker:
    """``busy``: the cohort that it trains. Cohorts go out by ``line``, messages come in."""

    name: str
    process: BaseProcess
    line: Connection
    busy: Cohort | None = None


def local(
    waves: tuple[Wave, ...], runtime: Runtime, devices: Sequence[torch.device]
) -> list[Cohort]:
    """Train every cohort on ``devices``; returns those, or their parts, whose teacher failed.

    Raises what stopped the training: Stopped, or a UserError of a worker. Statuses are truthful
    then, and every worker has ended.
    """
    check_choice(waves, runtime.teacher)
    runtime.teacher_passes = teacher_passes(waves)
    return Launcher(waves, runtime, devices).run()


@dataclass
class Launcher:
    """The parent's side. ``waiting``: cohorts in the order of the plan."""

    waves: tuple[Wave, ...]
    runtime: Runtime
    devices: Sequence[torch.device]
    waiting: list[Cohort] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    blocked: list[Cohort] = field(default_factory=list)
    error: Exception | None = None

    def run(self) -> list[Cohort]:
        self.waiting = [cohort for wave in self.waves for cohort in wave]
        with _sigint_ignored():  # by the workers: the launcher hears it for all
            for number, device in enumerate(self.devices):
                several = self.devices.count(device) > 1
                self._start(f"{device}#{number}" if several else f"{device}", device)
        try:
            self._feed()
        except BaseException:  # such as a second Ctrl-C: at once
            for worker in self.workers:
                worker.process.kill()
            raise
        finally:
            for worker in self.workers:
                worker.line.close()  # a worker that reads from it ends
            for worker in self.workers:
                worker.process.join()
        if self.error:
            raise self.error
        return self.blocked

    def _start(self, name: str, device: torch.device) -> None:
        runtime = self.runtime
        setup = Setup(
            name=name,
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
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        mine, its = context.Pipe()
        process = context.Process(target=work, args=(setup, its), name=name)
        process.start()
        its.close()  # so that the line ends with the worker
        self.workers.append(Worker(name, process, mine))

    def _feed(self) -> None:
        """Until nothing waits and nobody is busy."""
        self._give()
        while busy := [worker for worker in self.workers if worker.busy]:
            for line in wait([worker.line for worker in busy], POLL_SECONDS):
                self._hear(next(worker for worker in busy if worker.line is line))
            try:
                self.runtime.tick()
            except Stopped as error:
                self._stop(error)
        if self.waiting and not self.error:
            count = len(self.waiting)
            self.error = UserError(
                f"no worker is left, {count} cohorts were not started; the same command goes on"
            )

    def _give(self) -> None:
        """Work to whoever has none."""
        for worker in self.workers:
            if worker.busy is None and worker.process.is_alive():
                worker.busy = self._next()
                if worker.busy:
                    with suppress(OSError):  # it has just died: the line tells
                        worker.line.send(worker.busy)

    def _next(self) -> Cohort | None:
        """The first cohort whose teacher is finished, or never will be: then its part without."""
        if self.error:
            self.waiting.clear()
        busy = [worker.busy for worker in self.workers if worker.busy]
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

    def _hear(self, worker: Worker) -> None:
        """One message; a line that breaks off is a worker that died."""
        try:
            kind, what = worker.line.recv()
        except (EOFError, OSError):
            kind, what = "died", None
        if kind == "line":
            self.runtime.progress.line(what)
        elif kind == "update":
            self.runtime.tracker.update(self.runtime.records.of(what))
        else:
            cohort, worker.busy = worker.busy, None
            assert cohort
            if kind == "died":
                self._mourn(worker, cohort)
            else:
                self._count(cohort, kind, *what)
            self._give()

    def _count(
        self, cohort: Cohort, kind: str, epochs: int, views: int, error: Exception | None
    ) -> None:
        self.runtime.epochs_done += epochs
        self.runtime.views_done += views
        if kind == "broken":
            self.runtime.broken.append(cohort)
        if error:
            self._stop(error)

    def _mourn(self, worker: Worker, cohort: Cohort) -> None:
        """It may have finished its cohort and died before it could say so."""
        worker.process.join()
        states = {self.runtime.records.state(key(run)) for run in cohort.runs}
        if states <= {"FINISHED", "FAILED"}:
            return
        code = worker.process.exitcode
        line = f"{worker.name}: its process ended with code {code} in {cohort.label}"
        self.runtime.progress.line(f"{line}; the same command goes on")
        self.runtime.broken.append(cohort)

    def _stop(self, error: Exception) -> None:
        """The first reason ends every cohort at its next step; the time each looks up itself."""
        if self.error:
            return
        self.error = error
        self.waiting.clear()
        for worker in self.workers:
            if worker.busy and worker.process.pid and not isinstance(error, OutOfTime):
                with suppress(ProcessLookupError):
                    os.kill(worker.process.pid, signal.SIGTERM)


@contextmanager
def _sigint_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
