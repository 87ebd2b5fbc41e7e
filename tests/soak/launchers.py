"""Launchers as processes that are ready at once: forked from one that has imported everything."""

import os
import signal
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import sklearn.datasets
import torch
import torch._dynamo  # PyTorch itself does, at the first network

import repro.launch
import repro.live
import repro.tracking
from repro import cli, jobs
from repro.grid import expand
from repro.profiles import PROFILES
from repro.spec import Run

# The demo grid with 8 images a class: epochs are short enough to be killed between and within.
STREAM = replace(
    PROFILES["demo"].stream, train_per_class=8, test_per_class=4, batch_size=16, epochs=8
)
PROFILE = replace(PROFILES["demo"], stream=STREAM, teacher_epochs=0, trials=2)
CHECKPOINT_SECONDS = 0.3
LEASE_SECONDS = 4.0
GRID: tuple[Run, ...] = expand("demo", PROFILE)

assert sklearn.datasets
assert torch._dynamo
assert repro.launch
assert repro.live
assert repro.tracking


@dataclass
class Launcher:
    """``kill_at``: seconds after its first batch. ``outcome``: as ``os.waitpid`` says, once it has
    ended; ``killed``: by the soak, not by itself at a fault point."""

    pid: int
    kill_at: float = float("inf")
    first_batch: float | None = None
    outcome: int | None = None
    killed: bool = False

    def ended(self) -> bool:
        if self.outcome is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.outcome = os.waitstatus_to_exitcode(status) if pid else None
        return self.outcome is not None

    def due(self, trained: bool) -> bool:
        """Is it time for its random kill?"""
        now = time.monotonic()
        if trained and self.first_batch is None:
            self.first_batch = now
        return self.first_batch is not None and now - self.first_batch > self.kill_at

    def kill(self) -> None:
        self.killed = True
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        self.outcome = os.waitstatus_to_exitcode(status)


def start(words: list[str], out: Path, **environment: str) -> int:
    """A process with the command ``repro <words>``; returns its number."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        file = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, 1)
        os.dup2(file, 2)
        os.environ.update(environment, REPRO_LEASE_SECONDS=str(LEASE_SECONDS))
        PROFILES["demo"] = PROFILE
        jobs.CHECKPOINT_SECONDS = CHECKPOINT_SECONDS
        torch.set_num_threads(1)
        cli.main(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # nothing of the parent's is to be closed here


def run(words: list[str], out: Path, **environment: str) -> int:
    """The exit code of ``repro <words>``."""
    _, status = os.waitpid(start(words, out, **environment), 0)
    return os.waitstatus_to_exitcode(status)
