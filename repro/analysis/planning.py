"""How many more trials or students would decide, and the smallest difference that can be found.

Extra trials are fixed from the spread alone, never from the estimate: with new seeds and at most
once. ``comparisons``: the size k of a Holm family, whose first step asks for level 0.05 / k.
Half an interval of D/2 or less guarantees a verdict, D being ``effect``.
"""

import math
from bisect import bisect_left
from collections.abc import Callable
from typing import NamedTuple

from scipy.special import nctdtrinc, ndtri, stdtrit

from repro.analysis.estimates import MIN_TRIALS, MIN_UNITS, Estimate
from repro.analysis.families import LEVEL

POWER = 0.80
MANY = 100_000  # trials or students: beyond it, none


class Need(NamedTuple):
    """What guarantees a verdict, in words; ``trials``: how many, or inf where they do not."""

    words: str
    trials: float = math.inf


def trials_for_power(spread: float, effect: float, *, comparisons: int = 1) -> int:
    """Of one cell, for 80 % power at ``effect``; ``spread``: sd of one trial's difference.

    The normal approximation, z^2 / 2 trials added for the t distribution (Guenther 1981).
    """
    z = _normal(comparisons)
    return max(MIN_TRIALS, math.ceil(((z + ndtri(POWER)) * spread / effect) ** 2 + z**2 / 2))


def trials_for_verdict(
    spread: float,
    effect: float,
    *,
    df_per_trial: int,
    pairs: int = 1,
    comparisons: int = 1,
    shared: float = 0.0,
) -> float:
    """Trials per pair that guarantee a verdict on these pairs; inf beyond 100,000.

    The t quantile has ``df_per_trial`` (T - 1) df: M - 1 for a cell of M methods, P for P pairs.
    ``shared``: the part of the squared standard error that trials do not reduce.
    """

    def enough(trials: int) -> bool:
        quantile = _quantile(df_per_trial * (trials - 1), comparisons)
        room = (effect / (2 * quantile)) ** 2 - shared
        return trials * pairs * room >= spread**2

    return _first(enough, MIN_TRIALS)


def trials_in_general(
    spread: float, effect: float, *, tau: float, students: int, comparisons: int = 1
) -> float:
    """Trials per pair that guarantee a verdict in general; inf where no number of them does."""
    quantile = _quantile(students - 1, comparisons)
    room = students * effect**2 / (4 * quantile**2) - tau**2
    return max(MIN_TRIALS, math.ceil(spread**2 / room)) if room > 0 else math.inf


def students_for_verdict(
    tau: float,
    effect: float,
    *,
    spread: float = 0.0,
    trials: float = math.inf,
    comparisons: int = 1,
) -> float:
    """Students that guarantee a verdict in general, at ``trials`` each; inf beyond 100,000."""
    variance = tau**2 + spread**2 / trials

    def enough(students: int) -> bool:
        quantile = _quantile(students - 1, comparisons)
        return students >= 4 * quantile**2 * variance / effect**2

    return _first(enough, MIN_UNITS)


def detectable(estimate: Estimate, *, comparisons: int = 1) -> float:
    """The effect found with 80 % power at the standard error and df observed (noncentral t)."""
    if math.isnan(estimate.standard_error):
        return math.nan
    quantile = _quantile(estimate.df, comparisons)
    return float(nctdtrinc(estimate.df, 1 - POWER, quantile)) * estimate.standard_error


def needed(estimate: Estimate, effect: float, *, comparisons: int = 1) -> Need:
    """What guarantees a verdict where this one is inconclusive."""
    if math.isnan(estimate.standard_error):
        return Need("at least 3 trials of both arms", 0)
    if estimate.formula == "F6" and estimate.scope == "in general":
        return Need("more teachers, not trials")
    if estimate.formula == "F7 over pairs":
        return Need("more students")
    if estimate.scope == "in general":
        return _needed_in_general(estimate, effect, comparisons)
    trials = estimate.counts.trials
    of_trials = max(0.0, estimate.standard_error**2 - estimate.shared)
    total = trials_for_verdict(
        math.sqrt(of_trials * trials),
        effect,
        df_per_trial=max(1, round(estimate.df / (trials - 1))),
        comparisons=comparisons,
        shared=estimate.shared,
    )
    if math.isinf(total):
        return Need("no affordable number of trials")
    if estimate.formula != "F1":
        return Need(f"{total:.0f} trials in all", total)
    spread = math.sqrt(estimate.variance)
    likely = trials_for_power(spread, effect, comparisons=comparisons)
    return Need(f"{total:.0f} trials in all ({likely} for 80 % power)", total)


def _needed_in_general(estimate: Estimate, effect: float, comparisons: int) -> Need:
    counts, spread = estimate.counts, math.sqrt(estimate.variance)
    units = round(estimate.df) + 1
    trials = trials_in_general(
        spread, effect, tau=estimate.tau, students=units, comparisons=comparisons
    )
    students = students_for_verdict(
        estimate.tau, effect, spread=spread, trials=counts.trials, comparisons=comparisons
    )
    if math.isfinite(trials):
        more = max(trials, counts.trials + 1)
        return Need(f"{more:.0f} trials in all, or {students:.0f} students", more)
    least = students_for_verdict(estimate.tau, effect, comparisons=comparisons)
    return Need(
        f"no number of trials decides this; needs {least:.0f} students or more "
        f"({students:.0f} at {counts.trials} trials)"
    )


def _normal(comparisons: int) -> float:
    return float(ndtri(1 - LEVEL / (2 * comparisons)))


def _quantile(df: float, comparisons: int) -> float:
    return float(stdtrit(df, 1 - LEVEL / (2 * comparisons)))


def _first(enough: Callable[[int], bool], least: int) -> float:
    """The smallest number from ``least`` on that is enough; what is more is enough too."""
    found = bisect_left(range(MANY + 1), True, lo=least, key=enough)
    return found if found <= MANY else math.inf
