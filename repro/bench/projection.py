"""How long the whole CIFAR grid would take at the measured speeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from repro.bench.cases import PROFILE
from repro.bench.ceilings import step_macs
from repro.bench.results import Result
from repro.estimate import estimate_seconds
from repro.grid import Choice, expand
from repro.plan import plan
from repro.spec import Precision

GRID = "cifar"


@dataclass(frozen=True, kw_only=True)
class Projection:
    """The grid's ``seconds`` at ``macs_per_second``, the median over the pairs at ``cohort``."""

    precision: Precision
    cohort: int
    macs_per_second: float
    runs: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        return vars(self) | {"grid": GRID, "profile": PROFILE.name}


def projections(results: Sequence[Result]) -> tuple[Projection, ...]:
    """One a precision, from the largest cohort with a live teacher.

    Networks differ in what a multiply-accumulate costs, and other pairs were not measured: rough.
    """
    live = [result for result in results if result.case.teacher == "live"]
    precisions = dict.fromkeys(result.case.precision for result in live)
    return tuple(_project([r for r in live if r.case.precision == p], p) for p in precisions)


def macs_per_second(result: Result) -> float:
    return step_macs(result.case) * result.images_per_second / result.case.cohort


def _project(results: Sequence[Result], precision: Precision) -> Projection:
    cohort = max(result.case.cohort for result in results)
    speed = median(macs_per_second(r) for r in results if r.case.cohort == cohort)
    runs = expand(GRID, PROFILE, Choice(precision=precision))
    waves = plan(runs, set(), {}, cohort)
    return Projection(
        precision=precision,
        cohort=cohort,
        macs_per_second=speed,
        runs=len(runs),
        seconds=sum(estimate_seconds(c, speed) for wave in waves for c in wave),
    )
