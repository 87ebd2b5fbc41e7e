"""The whole bench: inputs, ceilings, pair after pair, and what follows for the grid."""

import os
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch

from repro.bench import ceilings
from repro.bench.cases import Case
from repro.bench.ceilings import SIZES, Ceilings
from repro.bench.inputs import cifar100_inputs, random_inputs
from repro.bench.machine import hardware
from repro.bench.pair import Plan, measure_pair
from repro.bench.projection import Projection, projections
from repro.bench.results import Result
from repro.environment import ROOT, keep_freed_memory

BUSY = 0.5  # processes that ran on average in the last minute


@dataclass(frozen=True, kw_only=True)
class Request:
    """What ``repro bench`` was asked for; without ``source`` the images are random."""

    cases: tuple[Case, ...]
    device: torch.device
    plan: Plan = field(default_factory=Plan)
    source: Path | None = None
    data_dir: Path = ROOT / "data"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a bench found, on which machine and (in words) which images."""

    request: Request
    hardware: dict[str, object]
    images: str
    ceilings: Ceilings
    results: tuple[Result, ...]

    @property
    def projections(self) -> tuple[Projection, ...]:
        return projections(self.results)


def measure(request: Request, tell: Callable[[str], None]) -> Measured:
    """Everything; minutes with the defaults. ``tell`` gets lines of progress.

    Raises UserError where the data is missing or wrong.
    """
    keep_freed_memory()
    device, plan = request.device, request.plan
    machine = hardware(device)
    if os.getloadavg()[0] > BUSY:
        tell(f"this machine is busy (load {os.getloadavg()[0]:.1f}): the numbers will mean little")
    if request.source:
        inputs = cifar100_inputs(device, request.source, request.data_dir)
    else:
        inputs = random_inputs(device)
    tell(f"{inputs.what}; {len(request.cases)} cases, {plan.repeats} repeats; first the ceilings")
    precisions = dict.fromkeys(case.precision for case in request.cases)
    found = ceilings.measure(device, precisions, plan.part_pace.seconds, SIZES[device.type])
    pairs: dict[str, list[Case]] = defaultdict(list)
    for case in request.cases:
        pairs[case.pair].append(case)
    results: list[Result] = []
    for cases in pairs.values():
        results += measure_pair(cases, inputs, found, plan, tell)
    return Measured(
        request=request,
        hardware=machine,
        images=inputs.what,
        ceilings=found,
        results=tuple(results),
    )
