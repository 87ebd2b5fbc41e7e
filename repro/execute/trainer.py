"""The side of ``remote`` that trains: an object in a process that a cluster has placed."""

import platform
import shutil
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from os import getpid
from pathlib import Path
from typing import Any

import torch

from repro.data.dataset import Dataset
from repro.data.folder import FolderImages
from repro.environment import prepare
from repro.errors import UserError
from repro.execute.archive import packed, take_in_bytes
from repro.execute.board import Entry
from repro.execute.worker import Done, Outbox, Setup, runtime_of, train_entry
from repro.limits import Limits
from repro.runtime import Stopped
from repro.spec import Run, key

GATHER_SECONDS = 0.2  # messages within it travel together
Message = tuple[str, Any]  # "line" and text, or "update" and a run's key


@dataclass(frozen=True)
class Hello:
    """Who trains. ``shared``: the launcher's runs directory is there; ``wrong``: why it cannot."""

    host: str
    pid: int
    shared: bool
    wrong: str = ""


@dataclass(frozen=True)
class Task:
    """``records``: an archive of what it needs, where no directory is shared."""

    entry: Entry
    seconds_left: float | None
    records: bytes = b""


@dataclass(frozen=True)
class Reply:
    """``kind``: "ended" or "broken"; ``records``: an archive of the cohort's, as for a Task."""

    kind: str
    done: Done
    messages: list[Message]
    records: bytes = b""


def versions() -> str:
    """What must be the same on every node; builds of PyTorch for other devices may differ."""
    try:
        own = version("cmkd-repro")
    except PackageNotFoundError:
        own = "of a checkout"
    return f"torch {torch.__version__.partition('+')[0]}, cmkd-repro {own}"


class Mailbox:
    """Messages of the training thread, until another one fetches them."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.changed = threading.Condition()

    def send(self, message: Message, /) -> None:
        with self.changed:
            self.messages.append(message)
            self.changed.notify_all()

    def fetch(self, seconds: float) -> list[Message]:
        """All there are; waits for the first one, up to ``seconds``."""
        with self.changed:
            if not self.changed.wait_for(lambda: bool(self.messages), seconds):
                return []
        time.sleep(GATHER_SECONDS)
        return self.take()

    def take(self) -> list[Message]:
        with self.changed:
            taken, self.messages = self.messages, []
        return taken


class TaskLimits(Limits):
    """Also stops for the reason that a launcher gives."""

    asked: Stopped | None = None

    def tick(self) -> None:
        if self.asked:
            raise self.asked
        super().tick()


class Trainer:
    """Trains one cohort at a time; ``fetch`` and ``stop`` are called meanwhile.

    ``nonce``: the name of a file that the launcher has just made in its runs directory; where it
    is not seen, the runs of this process have a directory of their own.
    """

    def __init__(self, setup: Setup, datasets: dict[str, Dataset], nonce: str) -> None:
        self.shared = (setup.runs_dir / nonce).exists()
        runs_dir = setup.runs_dir if self.shared else Path(tempfile.mkdtemp(prefix="repro-"))
        self.setup = replace(setup, name=f"{platform.node()}#{setup.name}", runs_dir=runs_dir)
        self.mailbox, self.limits = Mailbox(), TaskLimits()
        self.runtime = runtime_of(self.setup, self.limits, Outbox(self.setup.name, self.mailbox))
        self.runtime.datasets.update(datasets)

    def hello(self, expected: str) -> Hello:
        """``expected``: the ``versions`` of the launcher."""
        host, wrong = platform.node(), ""
        if versions() != expected:
            wrong = f"{host} has {versions()}, the launcher {expected}: install the same on both"
        elif self.runtime.device.type == "cuda" and not torch.cuda.is_available():
            wrong = f"PyTorch sees no GPU on {host}, Ray does: install a CUDA build of it there"
        elif absent := self._absent_folder():
            wrong = f"{host} does not see {absent}: a folder of images is one that all nodes share"
        return Hello(host, getpid(), self.shared, wrong)

    def _absent_folder(self) -> Path | None:
        """Of images that do not travel with the launch."""
        trained = [dataset.train for dataset in self.runtime.datasets.values()]
        roots = [images.root for images in trained if isinstance(images, FolderImages)]
        return next((root for root in roots if not root.is_dir()), None)

    def train(self, task: Task) -> Reply:
        """Never raises what a run can end by: it is in the reply."""
        torch.set_num_threads(self.setup.threads)  # of this thread, as the device is
        prepare(self.runtime.device)
        left = task.seconds_left
        self.limits.deadline = None if left is None else time.monotonic() + left
        try:
            for line in take_in_bytes(task.records, self.setup.runs_dir, self.runtime.leases):
                self.runtime.progress.line(line)
        except UserError as error:
            return Reply("ended", Done(0, (), error), self.mailbox.take())
        kind, done = train_entry(task.entry, self.runtime)
        records = b"" if self.shared else self._results(task.entry.cohort.runs)
        return Reply(kind, done, self.mailbox.take(), records)

    def _results(self, runs: tuple[Run, ...]) -> bytes:
        """Students' records are of no use here any more; a teacher's may be."""
        records = [self.runtime.records.own(key(run)) for run in runs]
        results = packed(records)
        for run, record in zip(runs, records, strict=True):
            if run.teacher:
                shutil.rmtree(record.directory, ignore_errors=True)
        return results

    def fetch(self, seconds: float) -> list[Message]:
        return self.mailbox.fetch(seconds)

    def stop(self, error: Stopped) -> None:
        self.limits.asked = error

    def close(self) -> None:
        """Leave nothing behind."""
        if not self.shared:
            shutil.rmtree(self.setup.runs_dir, ignore_errors=True)
