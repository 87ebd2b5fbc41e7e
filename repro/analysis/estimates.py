"""Differences of two methods with their intervals: one cell, these pairs, pairs in general.

``trials``: a row a trial, a column a method of one pair. ``pairs``: such a frame by "teacher:
student". ``arms``: (first, second) for first - second, in the frame's unit. A trial counts where
both arms have it: a missing one is left out of both.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from repro.analysis import rules
from repro.analysis.rules import Array, Statistic

Arms = tuple[str, str]
Pairs = Mapping[str, pd.DataFrame]
Formula = Literal["F1", "F2", "F3", "F3 by pair", "F6", "F7", "F7 over pairs"]
Scope = Literal["these pairs", "in general", "these teachers"]

MIN_TRIALS = 3  # with fewer, an interval of two degrees of freedom or less decides nothing
MIN_UNITS = 5  # students, or teachers of a slope: below, "in general" has no power worth a number


@dataclass(frozen=True, kw_only=True)
class Counts:
    """What entered an estimate. ``trials``: the fewest of a pair; ``runs``: finished trainings.

    ``missing`` names the pairs left out for want of trials.
    """

    pairs: int
    students: int
    trials: int
    runs: int
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A difference or slope with its standard error; NaN where there is too little for one.

    ``variance`` is that of one trial's difference, ``tau`` the sd of the effect over pairs, which
    more trials do not reduce; nor do they reduce ``shared``, a part of the squared standard error.
    """

    formula: Formula
    scope: Scope
    counts: Counts
    estimate: float = math.nan
    standard_error: float = math.nan
    df: float = math.nan
    variance: float = math.nan
    tau: float = math.nan
    shared: float = 0.0

    @property
    def is_run(self) -> bool:
        """Whether it can have a verdict: 3 trials or more, and an interval."""
        return self.counts.trials >= MIN_TRIALS and not math.isnan(self.standard_error)

    @property
    def low(self) -> float:
        return self.interval()[0]

    @property
    def high(self) -> float:
        return self.interval()[1]

    @property
    def p(self) -> float:
        """Two-sided, of H0: no effect."""
        return float(self.statistic.p())

    def p_at_least(self, effect: float) -> float:
        """One-sided, of H0: the effect is ``effect`` or more."""
        return float(self.statistic.p_at_least(effect))

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Student's t interval: low, high."""
        low, high = self.statistic.bounds(confidence)
        return float(low), float(high)

    @property
    def prediction(self) -> tuple[float, float]:
        """Low and high 95 % bounds of the effect on one new pair; NaN without ``tau``."""
        error = np.asarray(math.hypot(self.standard_error, self.tau))
        low, high = self.statistic._replace(standard_error=error).bounds()
        return float(low), float(high)

    @property
    def negated(self) -> "Estimate":
        """Second less first."""
        return replace(self, estimate=-self.estimate)

    @property
    def statistic(self) -> Statistic:
        return Statistic(np.asarray(self.estimate), np.asarray(self.standard_error), self.df)

    def filled(
        self, found: Statistic, *, variance: float = math.nan, tau: float = math.nan
    ) -> "Estimate":
        """With the numbers of a statistic of one experiment."""
        return replace(
            self,
            estimate=float(found.estimate),
            standard_error=float(found.standard_error),
            df=float(found.df),
            variance=float(variance),
            tau=float(tau),
        )


def complete(trials: pd.DataFrame, arms: Arms) -> Array:
    """[T, M]: trials that both arms have; columns first, second, methods that have all of these."""
    if not all(arm in trials.columns for arm in arms):
        return np.empty((0, 2))
    places = [trials.columns.get_loc(arm) for arm in arms]  # get_indexer takes ten times as long
    values = trials.to_numpy(float)
    known = ~np.isnan(values)
    rows = known[:, places].all(1)
    others = known[rows].all(0)
    others[places] = False
    return values[rows][:, [*places, *np.flatnonzero(others)]]


def cell(trials: pd.DataFrame, arms: Arms) -> Estimate:
    """F1: two methods on one pair (``rules.cell``). Without an interval below two trials."""
    table = complete(trials, arms)
    trials_run = len(table)
    counts = Counts(pairs=1, students=1, trials=trials_run, runs=table.size)
    estimate = Estimate(formula="F1", scope="these pairs", counts=counts)
    if trials_run < 2:
        return (
            replace(estimate, estimate=float(table[0, 0] - table[0, 1])) if trials_run else estimate
        )
    found = rules.cell(table)
    return estimate.filled(found, variance=float(found.standard_error**2) * trials_run)


class Differences(NamedTuple):
    """Of the pairs that have run: names, means [P], variances of a trial [P], trials [P]."""

    names: tuple[str, ...]
    means: Array
    variances: Array
    trials: Array
    missing: tuple[str, ...]

    @property
    def students(self) -> list[str]:
        return [name.rpartition(":")[2] for name in self.names]

    @property
    def counts(self) -> Counts:
        """Of two runs a trial."""
        return Counts(
            pairs=len(self.names),
            students=len(set(self.students)),
            trials=int(min(self.trials, default=0)),
            runs=int(2 * self.trials.sum()),
            missing=self.missing,
        )


def differences(pairs: Pairs, arms: Arms) -> Differences:
    """Pairs with fewer than 3 complete trials have not run; they are named in ``missing``."""
    tables = {name: complete(trials, arms) for name, trials in pairs.items()}
    run = {name: t[:, 0] - t[:, 1] for name, t in tables.items() if len(t) >= MIN_TRIALS}
    return Differences(
        tuple(run),
        np.array([d.mean() for d in run.values()]),
        np.array([d.var(ddof=1) for d in run.values()]),
        np.array([d.size for d in run.values()], dtype=float),
        tuple(name for name in pairs if name not in run),
    )


def these_pairs(pairs: Pairs, arms: Arms) -> Estimate:
    """F2: the average over the pairs that have run, nothing claimed beyond; one pair is F1.

    T may differ between pairs (``rules.these_pairs``).
    """
    found = differences(pairs, arms)
    if len(found.names) == 1:
        only = cell(pairs[found.names[0]], arms)
        return replace(only, counts=replace(only.counts, missing=found.missing))
    estimate = Estimate(formula="F2", scope="these pairs", counts=found.counts)
    if not found.names:
        return estimate
    statistic = rules.these_pairs(found.means, found.variances, found.trials)
    return estimate.filled(statistic, variance=found.variances.mean())


def in_general(pairs: Pairs, arms: Arms, *, by: Literal["student", "pair"] = "student") -> Estimate:
    """F3: new pairs. The t interval over students, each the mean of its pairs; needs 5 of them.

    Pairs that share a student share most of their effect, so they are no independent sample. ``by``
    pair takes them as one all the same: a sensitivity, printed beside it.
    """
    found = differences(pairs, arms)
    units = found.means
    if by == "student" and found.names:
        units = rules.average_by(found.means, found.students)
    estimate = Estimate(
        formula="F3" if by == "student" else "F3 by pair",
        scope="in general",
        counts=found.counts,
        estimate=float(units.mean()) if units.size else math.nan,
    )
    if units.size < MIN_UNITS:
        return estimate
    return estimate.filled(
        rules.in_general(units),
        variance=found.variances.mean(),
        tau=float(rules.pair_spread(found.means, found.variances, found.trials)),
    )
