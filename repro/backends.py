"""Who trains a launch's cohorts: the words of ``--backend``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from repro.errors import UserError, choose
from repro.execute.inline import inline
from repro.execute.local import local
from repro.execute.ray import cluster_devices, on_ray
from repro.plan import Cohort, Wave
from repro.runtime import Runtime

Backend = Literal["auto", "inline", "local", "ray"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """``backend``: "inline" in this process, "local" a process a device, "ray" on the nodes of a
    cluster; "auto" is local where there are several devices. ``ray_address``: of a cluster that
    runs; "" for RAY_ADDRESS, or where that is not set, one of this launch. Raises UserError for
    another word."""

    backend: Backend = "auto"
    ray_address: str = ""

    def __post_init__(self) -> None:
        if self.backend not in get_args(Backend):
            raise choose("--backend", self.backend, get_args(Backend))
        if self.ray_address and self.backend != "ray":
            raise UserError("--ray-address needs --backend ray")

    @property
    def elsewhere(self) -> bool:
        """Is nothing trained by this process or on its devices?"""
        return self.backend == "ray"

    def devices(self, word: str) -> tuple[torch.device, ...]:
        """What ``--device`` means there, once for each; empty where it means this machine's."""
        return cluster_devices(word, self.ray_address) if self.backend == "ray" else ()


def train(
    waves: tuple[Wave, ...],
    runtime: Runtime,
    devices: Sequence[torch.device],
    placement: Placement,
) -> list[Cohort]:
    """Train every cohort; returns those, or their parts, whose teacher failed.

    Raises what the backend does: Stopped after truthful statuses, UserError.
    """
    backend = placement.backend
    if backend == "ray":
        return on_ray(waves, runtime, devices, placement.ray_address)
    if backend == "auto":
        backend = "inline" if len(devices) == 1 else "local"
    return inline(waves, runtime) if backend == "inline" else local(waves, runtime, devices)
