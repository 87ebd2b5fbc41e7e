"""SLURM: job arrays over slices of a wave. What a job does on its node: ``repro.node_job``."""

import io
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from importlib.util import find_spec
from math import ceil
from pathlib import Path
from typing import Any

import torch

from repro.errors import UserError
from repro.plan import Cohort, Wave

COHORTS_PER_JOB = 4  # starting a job costs 4 s, so about a second a cohort
CPUS_PER_TASK = 2  # with as many all speeds of this suite were measured
STOP_SECONDS = 120.0  # before its time limit a job stops; SLURM's clock began before its own
SIGNAL_SECONDS = 60  # before its time limit SLURM sends SIGUSR2, or a minute sooner, measured 70 s
LEAST_SECONDS = 180.0  # of a limit: that signal must not come before Python hears it
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
            "submitit, which --backend slurm needs, is not installed: pip install -e '.[slurm]'"
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

    def submit(self, jobs: Sequence[Callable[[], None]]) -> str:
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
