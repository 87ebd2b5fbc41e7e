"""The launcher of cohorts on workers that a cluster places, wherever it has room.

Which cluster it is only its ``Cluster`` knows. A worker that dies is not missed: its cohort goes to
another one, from its checkpoints where the runs directory is shared.
"""

import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from repro.errors import UserError
from repro.execute.apart import hold
from repro.execute.archive import packed, take_in_bytes
from repro.execute.board import Board, Entry
from repro.execute.retries import MOST, Retries
from repro.execute.trainer import Hello, Message, Reply, Task
from repro.plan import Cohort, Wave
from repro.records import ENDED
from repro.runtime import Runtime, Stopped
from repro.spec import Run, key
from repro.stale import close_stale

POLL_SECONDS = 0.2  # between two looks at signals
IDLE_SECONDS = 30.0  # then a worker's place is given back
ROOM_SECONDS = 20.0  # longer than a worker takes to start; then it is told what is waited for
Event = tuple[int, str, Any]  # a worker; "hello", "mail", "done", "failed" or "died"; what


class Cluster(Protocol):
    """Workers by number, each a ``Trainer``."""

    def slots(self) -> int:
        """How many workers have room, at least 1: a cluster may grow when there is demand."""

    def start(self, number: int) -> None: ...
    def train(self, number: int, task: Task) -> None: ...
    def stop(self, number: int, error: Exception) -> None: ...
    def kill(self, number: int) -> None: ...

    def close(self, numbers: Iterable[int]) -> None:
        """Workers that are idle end."""

    def events(self, seconds: float) -> Iterable[Event]:
        """What happened; waits for it up to ``seconds``."""


@dataclass
class Worker:
    """``hello``: None until it has a place. ``held``: the launcher's leases of what it trains
    where it shares no directory; ``lost``: the runs of ``entry`` that another process has."""

    number: int
    hello: Hello | None = None
    entry: Entry | None = None
    lost: tuple[Run, ...] = ()
    held: ExitStack = field(default_factory=ExitStack)
    idle_since: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.hello.host}#{self.number}" if self.hello else f"worker {self.number}"


class Launcher:
    """``queue``: cohorts that can go now."""

    def __init__(self, waves: Iterable[Wave], runtime: Runtime, cluster: Cluster) -> None:
        self.runtime, self.cluster = runtime, cluster
        self.board, self.queue = Board(waves, runtime), list[Entry]()
        self.workers: dict[int, Worker] = {}
        self.started = self.stillborn = 0
        self.retries = Retries()
        self.error: Exception | None = None
        self.told: set[str] = set()
        self.moved = time.monotonic()  # when something last happened

    def run(self) -> list[Cohort]:
        """Train every cohort; returns those, or their parts, whose teacher failed.

        Raises what stopped the training, after truthful statuses: Stopped or UserError.
        """
        try:
            self._feed()
        except BaseException:  # such as a second Ctrl-C: at once
            for number in self.workers:
                self.cluster.kill(number)
            raise
        finally:
            self.cluster.close(list(self.workers))
            for worker in self.workers.values():
                worker.held.close()
        if self.error:
            raise self.error
        return self.board.blocked

    def _feed(self) -> None:
        """Until nothing waits and nobody is busy."""
        while self._give() or self.queue or self.board:
            if not self.queue:
                self.board.tell_if_only_others_train()
            for number, kind, what in self.cluster.events(POLL_SECONDS):
                if number in self.workers:
                    self.moved = time.monotonic()
                    self._guarded(self.workers[number], kind, what)
            try:
                self.runtime.tick()
            except Stopped as error:
                self._stop(error)

    def _guarded(self, worker: Worker, kind: str, what: Any) -> None:
        try:
            self._hear(worker, kind, what)
        except UserError as error:  # such as a full disk here
            self._stop(error)

    def _give(self) -> bool:
        """Work to whoever has none, and as many workers as there is work; is anybody busy?"""
        while entry := self.board.next():
            self.queue.append(entry)
        for worker in [w for w in self.workers.values() if w.hello and not w.entry]:
            if self.queue:
                self._send(worker, self.queue.pop(0))
            elif time.monotonic() - worker.idle_since > IDLE_SECONDS:
                self.cluster.close([worker.number])
                del self.workers[worker.number]
        waiting = [number for number, w in self.workers.items() if not w.hello]
        for number in waiting[len(self.queue) :]:
            self._kill(number)
        missing = len(self.queue) - len(waiting)
        for _ in range(min(missing, self.cluster.slots() - len(self.workers)) if missing else 0):
            self.started += 1
            self.workers[self.started] = Worker(self.started)
            self.cluster.start(self.started)
        busy = any(worker.entry for worker in self.workers.values())
        if waiting and not busy and time.monotonic() - self.moved > ROOM_SECONDS:
            self._tell("waiting for the cluster to have room for a cohort; Ctrl-C ends that")
        return busy

    def _tell(self, line: str) -> None:
        if line not in self.told:
            self.told.add(line)
            self.runtime.progress.line(line)

    def _send(self, worker: Worker, entry: Entry) -> None:
        assert worker.hello
        try:
            task = self._shared(entry) if worker.hello.shared else self._carried(worker, entry)
        except UserError as error:
            worker.held.close()
            self.board.done(entry)
            self._stop(error)
            return
        if task:
            worker.entry = entry
            self.cluster.train(worker.number, task)
        else:
            worker.held.close()
            self.board.done(entry, worker.lost)

    def _shared(self, entry: Entry) -> Task:
        return Task(entry, self._seconds_left())

    def _carried(self, worker: Worker, entry: Entry) -> Task | None:
        """With the records that it needs, while the launcher holds the cohort's; None where
        nothing is left to train."""
        cohort, records = entry.cohort, self.runtime.records
        mine, lost = hold(cohort, self.runtime, worker.held, partly=entry.held)
        worker.lost = tuple(lost)
        if not mine:
            return None
        needed = [*mine, cohort.teacher] if cohort.teacher else mine
        archive = packed(records.of(key(run)) for run in needed)
        own = Entry(replace(cohort, runs=tuple(mine)), held=True)
        return Task(own, self._seconds_left(), archive)

    def _seconds_left(self) -> float | None:
        """Not the deadline: every machine has a clock of its own."""
        deadline = self.runtime.deadline
        return None if deadline is None else deadline - time.monotonic()

    def _hear(self, worker: Worker, kind: str, what: Any) -> None:
        if kind == "hello":
            self._welcome(worker, what)
        elif kind == "mail":
            self._read(worker, what)
        elif kind == "done":
            self._count(worker, what)
        elif kind == "died":
            self._mourn(worker, what)
        elif worker.entry:  # "failed": a fault of ours, which its next cohort may not meet
            entry = self._freed(worker)
            self.board.done(entry)
            self.runtime.progress.line(f"{worker.name}: {entry.cohort.label}: {what}")
            self.runtime.broken.append(entry.cohort)

    def _welcome(self, worker: Worker, hello: Hello) -> None:
        if hello.wrong:
            raise UserError(hello.wrong)
        worker.hello, worker.idle_since, self.stillborn = hello, time.monotonic(), 0
        if not hello.shared:
            self._tell(
                f"{hello.host} does not share {self.runtime.runs_dir}: records come from there "
                "when their cohort ends"
            )

    def _read(self, worker: Worker, messages: Iterable[Message]) -> None:
        for kind, what in messages:
            if kind == "line":
                self.runtime.progress.line(what)
            elif worker.hello and worker.hello.shared:
                self.runtime.tracker.update(self.runtime.records.of(what))

    def _freed(self, worker: Worker) -> Entry:
        """Its entry, and its leases are given back."""
        entry, worker.entry, worker.idle_since = worker.entry, None, time.monotonic()
        assert entry
        worker.held.close()
        return entry

    def _count(self, worker: Worker, reply: Reply) -> None:
        runtime, done = self.runtime, reply.done
        self._read(worker, reply.messages)
        assert worker.entry
        cohort, lost = worker.entry.cohort, worker.lost
        try:
            self._take_in(reply, cohort)
        finally:
            entry = self._freed(worker)
            self.board.done(entry, () if self.error else (*lost, *done.left))
        runtime.gained += done.gained
        if reply.kind == "broken" or (reply.records and self._unfinished(cohort, reply, lost)):
            runtime.broken.append(cohort)
        if done.error:
            self._stop(done.error)

    def _take_in(self, reply: Reply, cohort: Cohort) -> None:
        runtime = self.runtime
        if not reply.records:
            return
        for line in take_in_bytes(reply.records, runtime.runs_dir, runtime.leases):
            runtime.progress.line(line)
        for record in (runtime.records.of(key(run)) for run in cohort.runs):
            if record.exists():
                runtime.tracker.update(record)

    def _unfinished(self, cohort: Cohort, reply: Reply, lost: tuple[Run, ...]) -> bool:
        """Did results not arrive whole, although nothing stopped the cohort?"""
        others = {key(run) for run in (*lost, *reply.done.left)}
        states = [self.runtime.records.state(key(r)) for r in cohort.runs if key(r) not in others]
        return not reply.done.error and not set(states) <= set(ENDED)

    def _mourn(self, worker: Worker, reason: str) -> None:
        """Once more, on another worker; a cohort that kills three is left alone. It may have been
        finished before its worker died."""
        del self.workers[worker.number]
        if worker.entry is None:
            self.stillborn += not worker.hello
            if self.stillborn > MOST:
                raise UserError(f"no worker can start: {reason}")
            return
        assert worker.hello
        self.runtime.leases.killed.add((worker.hello.host, worker.hello.pid))
        entry = self._freed(worker)
        close_stale(self.runtime)
        cohort, line = entry.cohort, f"{worker.name} died in {entry.cohort.label} ({reason})"
        ended = {self.runtime.records.state(key(run)) for run in cohort.runs} <= set(ENDED)
        if ended or self.error:
            self.board.done(entry)
        elif self.retries.again(cohort):
            self.queue.insert(0, entry)
            self.runtime.progress.line(f"{line}; once more")
        else:
            self.board.done(entry)
            self.runtime.progress.line(f"{line} again; the same command goes on")
            self.runtime.broken.append(cohort)

    def _kill(self, number: int) -> None:
        self.cluster.kill(number)
        del self.workers[number]

    def _stop(self, error: Exception) -> None:
        """The first reason ends every cohort at its next step, and is told in its status."""
        if self.error:
            return
        self.error = error
        self.board.clear()
        for entry in self.queue:
            self.board.done(entry)
        self.queue.clear()
        for number, worker in list(self.workers.items()):
            if worker.entry:
                reason = error if isinstance(error, Stopped) else Stopped(str(error))
                self.cluster.stop(number, reason)
            elif not worker.hello:
                self._kill(number)
