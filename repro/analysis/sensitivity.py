"""What is printed beside an interval because it covers less than readers think."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from repro.analysis.estimates import Arms, Estimate, Pairs, complete, differences, these_pairs
from repro.analysis.rules import mean_squares


class Positive(NamedTuple):
    """In ``positive`` of ``pairs`` pairs the first arm has the higher mean."""

    positive: int
    pairs: int


def positive_pairs(pairs: Pairs, arms: Arms) -> Positive:
    """Of the pairs that have run. A count to print, not a rule: it changes no verdict."""
    means = differences(pairs, arms).means
    return Positive(int((means > 0).sum()), len(means))


def leave_one_out(
    pairs: Pairs, arms: Arms, *, rule: Callable[[Pairs, Arms], Estimate] = these_pairs
) -> tuple[float, float]:
    """The least and the greatest lower bound (95 %) of ``rule`` with one pair left out.

    NaN with fewer than two pairs, or where the rest has no interval.
    """
    run = {name: pairs[name] for name in differences(pairs, arms).names}
    return lows_without_one(run, lambda rest: rule(rest, arms))


def lows_without_one(run: Pairs, rule: Callable[[Pairs], Estimate]) -> tuple[float, float]:
    """``leave_one_out`` for pairs that have run, under any rule."""
    if len(run) < 2:
        return math.nan, math.nan
    lows = [rule({name: run[name] for name in run if name != out}).low for out in run]
    return float(np.min(lows)), float(np.max(lows))


class Within(NamedTuple):
    """Of a pair's table of trials and methods: residual mean square, correlation in a trial."""

    residual: float
    correlation: float


def within_trials(trials: pd.DataFrame, arms: Arms) -> Within:
    """Of the trials that both arms have, over all methods that have these (``estimates.complete``).

    ``correlation`` is the intra-class one (Shrout & Fleiss 1979, ICC(3,1)): too uncertain at 3-5
    trials to choose a test by. NaN below two trials, or in a table without variance.
    """
    table = complete(trials, arms)
    count, methods = table.shape
    if count < 2:
        return Within(math.nan, math.nan)
    squares = mean_squares(table)
    total = squares.rows + (methods - 1) * squares.residual
    rho = float((squares.rows - squares.residual) / total) if total else math.nan
    return Within(float(squares.residual), rho)


def image_sampling_error(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Standard error (points) from the draw of the test images; no interval here covers it.

    ``first``, ``second``: [trials, images], whether each image was classified correctly, or [pairs,
    images], in which share of a pair's trials; numbers of trials may differ. The sd over images of
    the difference of means, by sqrt(images).
    """
    difference = 100 * (first.mean(0) - second.mean(0))
    return float(difference.std(ddof=1) / math.sqrt(difference.size))
