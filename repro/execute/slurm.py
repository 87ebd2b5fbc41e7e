"""SLURM: job arrays over slices of a wave, and what each job does on its node.

A job stops between epochs a little before its time limit and puts itself back into the queue; after
a signal, at the next step. It goes on from its checkpoints.
"""

import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch

from repro.errors import UserError
from repro.limits import Interrupted, Limits
from repro.plan import Cohort, Wave
from repro.runtime import Outcome

if TYPE_CHECKING:
    from repro.request import Request

COHORTS_PER_JOB = 4  # starting a job costs 4 s, so about a second a cohort
CPUS_PER_TASK = 2  # with as many all speeds of this suite were measured
STOP_SECONDS = 120.0  # before its time limit a job stops; SLURM's clock began before its own
SIGNAL_SECONDS = 60  # before its time limit SLURM sends SIGUSR2, or a minute sooner, measured 70 s
LEAST_SECONDS = 180.0  # of a limit: that signal must not come before Python hears it
REQUEUES = 20  # a job puts itself back into the queue at most so often
SCONTROL_SECONDS = 60.0  # an overloaded controller may answer late
# What the suite itself tells sbatch, and what says the same.
OURS = (
    "array",
    "dependency",
    "signal",
    "requeue",
    "no-requeue",
    "open-mode",
    "output",
    "error",
    "job-name",
    "nodes",
    "ntasks",
    "ntasks-per-node",
    "cpus-per-gpu",
)


@dataclass(frozen=True, kw_only=True)
class Slurm:
    """What is asked of SLURM. ``sbatch``: options of sbatch with their values; ``dry_run``: print
    what would be submitted. Raises UserError for no cohorts."""

    sbatch: tuple[tuple[str, str], ...] = ()
    cohorts_per_job: int = COHORTS_PER_JOB
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.cohorts_per_job < 1:
            raise UserError(f"--cohorts-per-job must be at least 1, not {self.cohorts_per_job}")


def sbatch_options(words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """``partition=gpu`` and so on. Raises UserError for what the suite sets itself."""
    found: dict[str, str] = {}
    for word in words:
        name, _, value = word.partition("=")
        name = name.strip().removeprefix("--").replace("_", "-")
        if not re.fullmatch(r"[a-z][a-z-]*", name) or not value.strip() or not value.isprintable():
            raise UserError(f"--slurm takes an option of sbatch, as partition=gpu, not {word!r}")
        if name == "time":
            raise UserError("--slurm time: the time limit of a job is --max-time")
        if name in OURS:
            raise UserError(f"--slurm {name} is set by the suite: leave it out")
        if name == "cpus-per-task" and not re.fullmatch(r"[1-9]\d*", value):
            raise UserError(f"--slurm cpus-per-task must be a whole number, not {value!r}")
        found[name] = value.strip()
    return tuple(found.items())


def node_device(name: str) -> torch.device:
    """Of a job's node: the CPU, or the GPUs that SLURM gives it. Raises UserError otherwise."""
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(
            f"--device {name}: SLURM chooses the GPUs of a job; cpu, or cuda (also auto)"
        )
    return torch.device("cpu" if name == "cpu" else "cuda")


def slices(wave: Wave, most: int, cost: Callable[[Cohort], float]) -> tuple[Wave, ...]:
    """As few slices of at most ``most`` cohorts as can be, equally costly as far as a simple rule
    gets: the costliest cohort first, each to the cheapest slice that has room."""
    count = ceil(len(wave) / most)
    parts: list[list[Cohort]] = [[] for _ in range(count)]
    costs = [0.0] * count
    for cohort in sorted(wave, key=cost, reverse=True):
        least = min((i for i in range(count) if len(parts[i]) < most), key=costs.__getitem__)
        parts[least].append(cohort)
        costs[least] += cost(cohort)
    return tuple(tuple(part) for part in parts)


def limit_minutes(max_seconds: float) -> int:
    """SLURM counts in whole minutes. Raises UserError for too few."""
    if max_seconds < LEAST_SECONDS:
        raise UserError(
            f"--max-time, the time limit of a job of SLURM, must be {LEAST_SECONDS / 60:.0f}m or "
            f"more, not {max_seconds:g}s"
        )
    return ceil(max_seconds / 60)


def stop_seconds(max_seconds: float) -> float:
    """When a job stops of itself, so that it has time to say so before its limit."""
    return 60.0 * limit_minutes(max_seconds) - STOP_SECONDS


def check_installed(*, dry_run: bool) -> None:
    """Raises UserError where submitit is not, or sbatch and srun are not and are needed."""
    if find_spec("submitit") is None:
        raise UserError(
            "submitit, which --backend slurm needs, is not installed: "
            "pip install 'cmkd-repro[slurm]'"
        )
    missing = [name for name in ("sbatch", "srun") if shutil.which(name) is None]
    if missing and not dry_run:
        raise UserError(
            f"no {missing[0]} on this machine: give the command on a login node of a SLURM "
            "cluster, with --dry-run to see what it would submit, or train here with "
            "--backend local"
        )


@dataclass(frozen=True, kw_only=True)
class Array:
    """Jobs that are submitted at once. ``folder``: of their logs; ``after``: the array before."""

    name: str
    folder: Path
    minutes: int
    device: torch.device
    asked: Slurm
    after: str = ""

    def text(self, jobs: int) -> str:
        """What sbatch is given for so many jobs."""
        from submitit.slurm.slurm import _make_sbatch_string

        module = ["-u", "-m", "submitit.core._submit"]
        command = shlex.join([sys.executable, *module, str(self.folder)])
        count = jobs if jobs > 1 else None
        return _make_sbatch_string(command, self.folder, map_count=count, **self._parameters())

    def submit(self, jobs: "Sequence[Job]") -> str:
        """Returns its id. Raises UserError with what sbatch says."""
        import submitit

        executor = submitit.SlurmExecutor(self.folder)
        executor.update_parameters(**self._parameters())
        try:
            with redirect_stderr(io.StringIO()):  # the error has it, too
                first, *_ = executor.submit_array(jobs)
        except submitit.core.utils.FailedJobError as error:
            said = [line for line in str(error).splitlines() if line.startswith("sbatch: ")]
            line = said[-1].replace("error: ", "") if said else str(error)
            raise UserError(f"{line} (see --slurm and --device)") from error
        return str(first.job_id).partition("_")[0]

    def _parameters(self) -> dict[str, Any]:
        asked = dict(self.asked.sbatch)
        gpus = any(name == "gres" or name.startswith("gpus") for name in asked)
        if self.device.type == "cuda" and not gpus:
            asked["gres"] = "gpu:1"
        cpus = asked.pop("cpus-per-task", str(CPUS_PER_TASK))
        return {
            "job_name": self.name,
            "time": self.minutes,
            "cpus_per_task": cpus,
            "srun_args": [f"--cpus-per-task={cpus}"],  # from 22.05 on srun does not inherit it
            "setup": [f"export OMP_NUM_THREADS={cpus}"],
            "signal_delay_s": SIGNAL_SECONDS,
            "stderr_to_stdout": True,
            "wckey": None,
            "dependency": f"afterany:{self.after}" if self.after else None,
            "additional_parameters": {"requeue": True, **asked},
        }


@dataclass(frozen=True)
class Job:
    """One job of an array: ``repro run`` of its part, on its node. It is pickled."""

    request: "Request"

    def __call__(self) -> None:
        """Ends the process with the exit code that ``repro run`` has."""
        from rich.console import Console

        from repro import launch

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
