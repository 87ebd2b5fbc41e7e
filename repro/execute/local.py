"""A process a device; each takes the next cohort that is ready, the costliest first."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from repro.errors import UserError
from repro.execute.board import Board, Entry
from repro.execute.worker import Done, setup_of, work
from repro.limits import OutOfTime
from repro.plan import Cohort, Wave, teacher_passes
from repro.records import ENDED
from repro.runtime import Runtime, Stopped
from repro.spec import key
from repro.stale import close_stale
from repro.teachers import check_choice

POLL_SECONDS = 0.2  # between two looks at signals


@dataclass
class Worker:
    """``busy``: what it trains. Cohorts go out by ``line``, messages come in."""

    name: str
    device: torch.device
    process: BaseProcess
    line: Connection
    busy: Entry | None = None


def local(
    waves: tuple[Wave, ...], runtime: Runtime, devices: Sequence[torch.device]
) -> list[Cohort]:
    """Train every cohort on ``devices``; returns those, or their parts, whose teacher failed.

    Raises what stopped the training: Stopped, or a UserError of a worker. Statuses are truthful
    then, and every worker has ended.
    """
    check_choice(waves, runtime.teacher)
    runtime.teacher_passes = runtime.teacher_passes or teacher_passes(waves)
    return Launcher(waves, runtime, devices).run()


@dataclass
class Launcher:
    """The parent's side. ``mourned``: cohorts whose worker died once."""

    waves: tuple[Wave, ...]
    runtime: Runtime
    devices: Sequence[torch.device]
    workers: list[Worker] = field(default_factory=list)
    mourned: list[Cohort] = field(default_factory=list)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.board = Board(self.waves, self.runtime)

    def run(self) -> list[Cohort]:
        with _ignored():  # by the workers: the launcher hears it for all
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
        return self.board.blocked

    def _start(self, name: str, device: torch.device) -> None:
        common = setup_of(self.runtime, len(self.board))
        setup = replace(common, name=name, device=str(device), side_by_side=len(self.devices))
        context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
        mine, its = context.Pipe()
        process = context.Process(target=work, args=(setup, its), name=name)
        process.start()
        its.close()  # so that the line ends with the worker
        self.workers.append(Worker(name, device, process, mine))

    def _feed(self) -> None:
        """Until nothing waits and nobody is busy."""
        while self._give() or self.board:
            busy = [worker for worker in self.workers if worker.busy]
            if not busy:
                self.board.tell_if_only_others_train()
                time.sleep(POLL_SECONDS)
            for line in wait([worker.line for worker in busy], POLL_SECONDS) if busy else ():
                self._hear(next(worker for worker in busy if worker.line is line))
            try:
                self.runtime.tick()
            except Stopped as error:
                self._stop(error)

    def _give(self) -> bool:
        """Work to whoever has none; is anybody busy?"""
        for worker in self.workers:
            if worker.busy is None and worker.process.is_alive():
                worker.busy = self.board.next()
                if worker.busy:
                    with suppress(OSError):  # it has just died: the line tells
                        worker.line.send(worker.busy)
        self.workers = [w for w in self.workers if w.busy or w.process.is_alive()]
        if not self.workers and self.board:
            left = f"no worker is left, {len(self.board)} cohorts were not trained"
            self._stop(UserError(f"{left}; the same command goes on"))
        return any(worker.busy for worker in self.workers)

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
            entry, worker.busy = worker.busy, None
            assert entry
            if kind == "died":
                self._mourn(worker, entry)
            else:
                self._count(entry, kind, what)

    def _count(self, entry: Entry, kind: str, done: Done) -> None:
        self.board.done(entry, () if self.error else done.left)
        self.runtime.gained += done.gained
        if kind == "broken":
            self.runtime.broken.append(entry.cohort)
        if done.error:
            self._stop(done.error)

    def _mourn(self, worker: Worker, entry: Entry) -> None:
        """Once more, with a new worker; a cohort that kills two is left alone. It may have been
        finished before its worker died."""
        cohort = entry.cohort
        worker.process.join()
        self.workers.remove(worker)
        code = worker.process.exitcode
        line = f"{worker.name}: its process ended with code {code} in {cohort.label}"
        ended = {self.runtime.records.state(key(run)) for run in cohort.runs} <= set(ENDED)
        if not self.error:
            with _ignored():
                self._start(worker.name, worker.device)
        if ended or self.error:
            self.board.done(entry)
        elif cohort in self.mourned:
            self.board.done(entry)
            self.runtime.progress.line(f"{line} again; the same command goes on")
            self.runtime.broken.append(cohort)
            close_stale(self.runtime)
        else:
            self.mourned.append(cohort)
            self.board.again(entry)
            self.runtime.progress.line(f"{line}; once more")

    def _stop(self, error: Exception) -> None:
        """The first reason ends every cohort at its next step; the time each looks up itself."""
        if self.error:
            return
        self.error = error
        self.board.clear()
        for worker in self.workers:
            if worker.busy and worker.process.pid and not isinstance(error, OutOfTime):
                with suppress(ProcessLookupError):
                    os.kill(worker.process.pid, signal.SIGTERM)


@contextmanager
def _ignored(numbers: Sequence[int] = (signal.SIGINT, signal.SIGUSR2)) -> Iterator[None]:
    """By a process that is started within, too: a terminal and SLURM signal the whole group."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
