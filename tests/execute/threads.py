"""A cluster of this process: its workers are trainers in threads, and die when told to."""

import queue
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from repro.execute.remote import Event
from repro.execute.trainer import Task, Trainer, versions
from repro.execute.worker import Setup
from repro.runtime import Runtime, Stopped
from tests import tiny


@dataclass
class Threads:
    """``nonce``: of a file in the runs directory, or of none; ``deaths``: so many tasks end by the
    death of their worker, before anything was trained; ``stillborn``: no worker starts."""

    runtime: Runtime
    nonce: str = "nonce"
    room: int = 2
    deaths: int = 0
    stillborn: bool = False
    expected: str = field(default_factory=versions)
    trainers: dict[int, Trainer] = field(default_factory=dict)
    threads: list[threading.Thread] = field(default_factory=list)
    happened: queue.Queue[Event] = field(default_factory=queue.Queue)
    directories: list[Path] = field(default_factory=list)

    def slots(self) -> int:
        return self.room

    def start(self, number: int) -> None:
        runtime = self.runtime
        setup = Setup(
            name=f"{number}",
            device="cpu",
            runs_dir=runtime.runs_dir,
            data_dir=runtime.data_dir,
            tags=runtime.tags,
            engine=runtime.engine,
            teacher=runtime.teacher,
            teacher_passes={},
            speed=None,
            threads=1,
            deadline=None,
            cohorts=1,
            launch=runtime.leases.launch,
        )
        if self.stillborn:
            self.happened.put((number, "died", "no torch there"))
            return
        trainer = self.trainers[number] = Trainer(setup, {"digits": tiny.digits()}, self.nonce)
        self.directories.append(trainer.setup.runs_dir)
        self.happened.put((number, "hello", trainer.hello(self.expected)))

    def train(self, number: int, task: Task) -> None:
        if self.deaths:
            self.deaths -= 1
            self.happened.put((number, "died", "lightning"))
            return
        thread = threading.Thread(target=self._train, args=(number, task))
        self.threads.append(thread)
        thread.start()

    def _train(self, number: int, task: Task) -> None:
        try:
            event = number, "done", self.trainers[number].train(task)
        except Exception as error:
            event = number, "failed", repr(error)
        self.happened.put(event)

    def stop(self, number: int, error: Stopped) -> None:
        self.trainers[number].stop(error)

    def kill(self, number: int) -> None:
        self.trainers.pop(number, None)

    def close(self, numbers: Iterable[int]) -> None:
        for thread in self.threads:
            thread.join()
        for number in numbers:
            if number in self.trainers:
                self.trainers.pop(number).close()

    def events(self, seconds: float) -> Iterator[Event]:
        try:
            yield self.happened.get(timeout=seconds)
        except queue.Empty:
            return
