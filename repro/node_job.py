"""What a job of SLURM does on its node.

It stops between epochs a little before its time limit and puts itself back into the queue; after a
signal, at the next step. It goes on from its checkpoints.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from rich.console import Console

from repro import launch
from repro.errors import UserError
from repro.limits import Interrupted, Limits
from repro.request import Request
from repro.runtime import Outcome

REQUEUES = 20  # a job puts itself back into the queue at most so often
SCONTROL_SECONDS = 60.0  # an overloaded controller may answer late


@dataclass(frozen=True)
class Job:
    """One job of an array: ``repro run`` of its part, on its node. It is pickled."""

    request: Request

    def __call__(self) -> None:
        """Ends the process with the exit code that ``repro run`` has."""
        limits = JobLimits(self.request.max_seconds)
        console = Console(soft_wrap=True, width=200)
        try:
            with limits.signals():
                outcome = launch.train_grid(self.request, console, limits)
        except Interrupted as error:
            print(error, flush=True)
            outcome, code, again = Outcome(failed=False), error.exit_code, True
        except UserError as error:
            print(f"error: {error}", flush=True)
            sys.exit(2)
        else:
            code, again = int(outcome.failed), outcome.out_of_time and outcome.gained > 0
        if again:
            print(requeue(), flush=True)
        sys.exit(code or int(outcome.out_of_time))

    def checkpoint(self) -> Any:
        """For a SIGUSR2 before training begins: submitit puts the job back as it is."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class JobLimits(Limits):
    """SIGUSR2 stops, too. SLURM signals a job and its srun, which passes it on: that counts
    once."""

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self.signal = self.signal or number

    @contextmanager
    def signals(self) -> Iterator[None]:
        before = signal.signal(signal.SIGUSR2, self._on_signal)
        try:
            with super().signals():
                yield
        finally:
            signal.signal(signal.SIGUSR2, before)


def requeue() -> str:
    """Put this job back into the queue where SLURM has not ended it; says what was done.

    While a preempted job has its GraceTime SLURM counts it as running, and would not requeue it if
    it ended by itself. Otherwise preemption requeues it, and scancel means it.
    """
    job, count = job_id(), int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    state = _said("squeue", "--noheader", f"--jobs={job}", "--format=%T").strip()
    if state != "RUNNING":
        return f"job {job} is ended by SLURM ({state or 'unknown'}), which starts it again or not"
    if count >= REQUEUES:
        return f"job {job} was started again {count} times; give the same command again to go on"
    error = _said("scontrol", "requeue", job, errors=True).strip()
    return error or f"job {job} is in the queue again (time {count + 1} of {REQUEUES} at most)"


def job_id() -> str:
    """Of a job of an array by its place: the last one's own number is the number of them all."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    task = os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{task}" if array and task else os.environ.get("SLURM_JOB_ID", "")


def _said(*command: str, errors: bool = False) -> str:
    """What a command says; "" where it does not answer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SCONTROL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error) if errors else ""
    return done.stderr if errors else done.stdout
