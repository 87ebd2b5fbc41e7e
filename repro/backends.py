"""Who trains a launch's cohorts: the words of ``--backend``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from repro.errors import choose
from repro.execute.inline import inline
from repro.execute.local import local
from repro.plan import Cohort, Wave
from repro.runtime import Runtime

Backend = Literal["auto", "inline", "local"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """``backend``: "inline" in this process, "local" a process a device; "auto" is local where
    there are several devices. Raises UserError for another word."""

    backend: Backend = "auto"

    def __post_init__(self) -> None:
        if self.backend not in get_args(Backend):
            raise choose("--backend", self.backend, get_args(Backend))


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
    if backend == "auto":
        backend = "inline" if len(devices) == 1 else "local"
    return inline(waves, runtime) if backend == "inline" else local(waves, runtime, devices)
