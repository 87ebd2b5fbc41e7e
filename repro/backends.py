"""Who trains a launch's cohorts: the words of ``--backend``."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

import torch

from repro.errors import UserError, choose
from repro.execute.inline import inline
from repro.execute.local import local
from repro.execute.ray import cluster_devices, on_ray
from repro.execute.slurm import COHORTS_PER_JOB, Slurm, node_device, sbatch_options
from repro.plan import Cohort, Wave
from repro.runtime import Runtime

Backend = Literal["auto", "inline", "local", "ray", "slurm"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """``backend``: "inline" in this process, "local" a process a device, "ray" on the nodes of a
    Ray cluster, "slurm" jobs of a cluster, asked for as ``slurm`` says; "auto" is local where there
    are several devices. ``ray_address``: of a cluster that runs; "" for RAY_ADDRESS, or where that
    is not set, one of this launch.

    Raises UserError for another word, or what is given to another backend.
    """

    backend: Backend = "auto"
    ray_address: str = ""
    slurm: Slurm = field(default_factory=Slurm)

    def __post_init__(self) -> None:
        if self.backend not in get_args(Backend):
            raise choose("--backend", self.backend, get_args(Backend))
        if self.backend != "slurm" and self.slurm != Slurm():
            raise UserError(
                "--slurm, --cohorts-per-job and --dry-run are for --backend slurm "
                "(`repro plan` shows what another backend would train)"
            )
        if self.ray_address and self.backend != "ray":
            raise UserError("--ray-address needs --backend ray")

    @property
    def elsewhere(self) -> bool:
        """Is nothing trained by this process or on its devices?"""
        return self.backend in ("ray", "slurm")

    def devices(self, word: str) -> tuple[torch.device, ...]:
        """What ``--device`` means there, once for each; empty where it means this machine's."""
        if self.backend == "slurm":
            return (node_device(word),)
        return cluster_devices(word, self.ray_address) if self.backend == "ray" else ()


def placement_of(
    backend: str,
    *,
    ray_address: str = "",
    slurm: Sequence[str] = (),
    cohorts_per_job: int = COHORTS_PER_JOB,
    dry_run: bool = False,
) -> Placement:
    """From the command line's words. Raises UserError on a wrong one."""
    options = sbatch_options(slurm)
    asked = Slurm(sbatch=options, cohorts_per_job=cohorts_per_job, dry_run=dry_run)
    return Placement(backend=cast(Backend, backend), ray_address=ray_address, slurm=asked)


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
    if backend == "ray":
        return on_ray(waves, runtime, devices, placement.ray_address)
    if backend == "auto":
        backend = "inline" if len(devices) == 1 else "local"
    return inline(waves, runtime) if backend == "inline" else local(waves, runtime, devices)
