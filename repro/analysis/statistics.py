"""Intervals over trials, and the comparison of a cell of ours with a published value."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit  # scipy.stats has the same, and takes 0.5 s to import

from repro.errors import UserError

UNKNOWN_STD = 0.27  # points, if not stated: rms std in arXiv 2402.11148 is 0.31 (n=3), 0.22 (n=5)
UNKNOWN_RUNS = 1  # a published number of runs that is not stated


def t_interval(values: Iterable[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high): Student's t interval of the mean; low, high are NaN below two values."""
    data = np.asarray(list(values), dtype=float)
    if data.size < 2:
        return (float(data[0]) if data.size else math.nan), math.nan, math.nan
    mean = float(data.mean())
    quantile = float(stdtrit(data.size - 1, (1 + confidence) / 2))
    half = quantile * float(data.std(ddof=1)) / math.sqrt(data.size)
    return mean, mean - half, mean + half


def paired_difference(
    trials: pd.DataFrame, first: str, second: str
) -> tuple[float, float, float, int]:
    """(mean, low, high, n) of ``first`` - ``second`` over the trials that have both; 95 %.

    ``trials``: a row a trial, a column a method of one pair. The standard error takes the residual
    mean square of the two-way table (n trials x those methods that have them all), or the variance
    of the differences where that is larger: SE^2 = max(2 MSE, s_d^2) / n, with
    (methods - 1)(n - 1) degrees of freedom. With two methods it is the paired t interval. NaN where
    a method is missing, and without an interval below two trials.
    """
    if not {first, second} <= set(trials.columns):
        return math.nan, math.nan, math.nan, 0
    differences = (trials[first] - trials[second]).dropna()
    n = len(differences)
    if n < 2:
        return (float(differences.iloc[0]) if n else math.nan), math.nan, math.nan, n
    mean, own = float(differences.mean()), float(differences.var(ddof=1))
    table = trials.loc[differences.index].dropna(axis=1).to_numpy(float)  # [n, methods]
    residuals = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    freedom = (table.shape[1] - 1) * (n - 1)
    spread = max(2 * float((residuals**2).sum()) / freedom, own)
    half = float(stdtrit(freedom, 0.975)) * math.sqrt(spread / n)
    return mean, mean - half, mean + half, n


def pooled_std(stds: Iterable[float]) -> float:
    """Root mean variance of a table's cells; those without a std (one run) are left out."""
    known = [std for std in stds if not math.isnan(std)]
    return math.sqrt(sum(std**2 for std in known) / len(known)) if known else math.nan


@dataclass(frozen=True, kw_only=True)
class PublishedDifference:
    """Ours minus a published value (points of top-1), its standard error and normal intervals."""

    difference: float
    standard_error: float
    low90: float
    high90: float
    low95: float
    high95: float

    @property
    def smallest_margin(self) -> float:
        """The smallest margin at which this counts as reproduced: readers choose their own."""
        return max(abs(self.low90), abs(self.high90))

    def verdict(self, margin: float) -> str:
        """``reproduced`` (90 % inside ±margin), ``different`` (95 % outside), ``inconclusive``."""
        if math.isnan(self.standard_error) or math.isnan(self.difference):
            return "inconclusive"
        if self.smallest_margin <= margin:
            return "reproduced"
        if self.low95 > margin or self.high95 < -margin:
            return "different"
        return "inconclusive"


def published_difference(
    ours: float,
    published: float,
    *,
    std: float,
    trials: int,
    published_std: float = math.nan,
    published_runs: float = math.nan,
) -> PublishedDifference:
    """Equivalence to a published value: SE^2 = std^2/trials + published_std^2/published_runs.

    ``std`` is ``pooled_std`` over the table's cells, in points. NaN for what the source does not
    state: its std is then taken as 0.27 points, its number of runs as 1. Quantiles are normal: the
    std is pooled over a table, and so the stated power (0.80 at a margin of 2.93 SE) holds.
    """
    if trials < 1:
        raise UserError(f"a comparison needs at least 1 trial, not {trials}")
    their_std = UNKNOWN_STD if math.isnan(published_std) else published_std
    their_runs = UNKNOWN_RUNS if math.isnan(published_runs) else published_runs
    error = math.sqrt(std**2 / trials + their_std**2 / their_runs)
    delta = ours - published
    half90, half95 = (float(ndtri(p)) * error for p in (0.95, 0.975))
    return PublishedDifference(
        difference=delta,
        standard_error=error,
        low90=delta - half90,
        high90=delta + half90,
        low95=delta - half95,
        high95=delta + half95,
    )


def published_margin(published_runs: float) -> float:
    """The margin fixed in advance: 0.5 points if 3 or more runs are stated, else 0.8."""
    return 0.5 if published_runs >= 3 else 0.8
