"""Who trains a launch's cohorts: the words of ``--backend``."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

import torch

from repro.errors import UserError, choose
from repro.execute.inline import inline
from repro.execute.local import local
from repro.execute.slurm import COHORTS_PER_JOB, Slurm, sbatch_options
from repro.plan import Cohort, Wave
from repro.runtime import Runtime

Backend = Literal["auto", "inline", "local", "slurm"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """``backend``: "inline" in this process, "local" a process a device, "slurm" jobs of a
    cluster, asked for as ``slurm`` says; "auto" is local where there are several devices.

    Raises UserError for another word, or where ``slurm`` is given to another backend.
    """

    backend: Backend = "auto"
    slurm: Slurm = field(default_factory=Slurm)

    def __post_init__(self) -> None:
        if self.backend not in get_args(Backend):
            raise choose("--backend", self.backend, get_args(Backend))
        if self.backend != "slurm" and self.slurm != Slurm():
            raise UserError(
                "--slurm, --cohorts-per-job and --dry-run are for --backend slurm "
                "(`repro plan` shows what another backend would train)"
            )


def placement_of(
    backend: str,
    *,
    slurm: Sequence[str] = (),
    cohorts_per_job: int = COHORTS_PER_JOB,
    dry_run: bool = False,
) -> Placement:
    """From the command line's words. Raises UserError on a wrong one."""
    options = sbatch_options(slurm)
    asked = Slurm(sbatch=options, cohorts_per_job=cohorts_per_job, dry_run=dry_run)
    return Placement(backend=cast(Backend, backend), slurm=asked)


def train(
    waves: tuple[Wave, ...],
    runtime: Runtime,
    devices: Sequence[torch.device],
    placement: Placement,
) -> list[Cohort]:
    """Train every cohort; returns those, or their parts, whose teacher failed.

    Raises what the backend does: Stopped after truthful statuses, UserError. (What "slurm" trains
    is submitted by ``repro.submission``; its jobs train here, each what it was given.)
    """
    backend = placement.backend
    if backend == "auto":
        backend = "inline" if len(devices) == 1 else "local"
    return inline(waves, runtime) if backend == "inline" else local(waves, runtime, devices)
