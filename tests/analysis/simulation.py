"""The model under which the decision rules are measured, and how a rate is compared.

y[pair, trial, method] = mean + effect of the pair (sd of a difference: tau) + effect of the trial,
shared by the methods of a pair + residual. Per-trial sd 0.25 points, within-trial correlation rho.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from repro.analysis.families import LEVEL
from repro.analysis.rules import Statistic

Array = NDArray[np.float64]

TRIAL_SD = 0.25
STUDENTS_OF_PAIRS = [*"abcdefghi", *"abc"]  # 12 pairs, 9 students, three of them twice


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A measured rate beside the one it should have.

    ``expected`` is rounded to ±``half`` (a range is its middle), and was itself measured in
    ``runs`` experiments; ``place`` names the table it stands in.
    """

    place: str
    what: str
    expected: float
    measured: float
    grids: int
    runs: int = 20_000
    half: float = 0.005

    @property
    def error(self) -> float:
        """Monte-Carlo standard error of the difference."""
        p = min(max(self.expected, 0.005), 0.995)
        return math.sqrt(p * (1 - p) * (1 / self.grids + 1 / self.runs))

    @property
    def holds(self) -> bool:
        return abs(self.measured - self.expected) <= 4 * self.error + self.half


def sd_of_difference(rho: float) -> float:
    return TRIAL_SD * math.sqrt(2 * (1 - rho))


def noise(rng: Generator, shape: tuple[int, ...], kind: str = "normal") -> Array:
    """Of mean 0 and sd 1: normal, Student's t with 3 df, or skewed (exponential)."""
    if kind == "t3":
        return rng.standard_t(3, shape) / math.sqrt(3)
    if kind == "skewed":
        return 1 - rng.standard_exponential(shape)
    return rng.standard_normal(shape)


def tables(
    rng: Generator, shape: tuple[int, ...], *, rho: float = 0.3, kind: str = "normal"
) -> Array:
    """One pair without effects: [grids, trials, methods]."""
    shared = math.sqrt(rho) * noise(rng, (*shape[:2], 1), kind)
    return TRIAL_SD * (shared + math.sqrt(1 - rho) * noise(rng, shape, kind))


def shifted(table: Array, effect: float) -> Array:
    """The first method better by ``effect`` points."""
    return np.concatenate([table[..., :1] + effect, table[..., 1:]], axis=-1)


def differences(
    rng: Generator, shape: tuple[int, ...], *, tau: float, rho: float = 0.3
) -> tuple[Array, Array]:
    """Means and variances [grids, pairs] of the paired differences of [grids, pairs, trials]."""
    effects = tau * rng.standard_normal((*shape[:2], 1))
    d = effects + sd_of_difference(rho) * rng.standard_normal(shape)
    return d.mean(-1), d.var(-1, ddof=1)


def significant(statistic: Statistic, level: float = LEVEL) -> NDArray[np.bool_]:
    return statistic.p() <= level


def report(rates: Iterable[Rate]) -> Iterator[str]:
    """A line a rate, with a mark where it does not hold."""
    yield f"{'table':<6} {'what':<66} {'expected':>8} {'measured':>8} {'± s.e.':>7}"
    for r in rates:
        mark = "" if r.holds else "  <- differs"
        yield (
            f"{r.place:<6} {r.what:<66} {r.expected:>8.3f} {r.measured:>8.3f} {r.error:>7.4f}{mark}"
        )
