"""Intervals over trials, and the comparison of a cell of ours with a published value."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from repro.analysis.rules import in_general
from repro.errors import UserError
from repro.paper import MARGINS, PUBLISHED_RUNS, PUBLISHED_STD


def t_interval(values: Iterable[float], confidence: float = 0.95) -> tuple[float, float, float]:
    """(mean, low, high): Student's t interval of the mean; low, high are NaN below two values."""
    data = np.asarray(list(values), dtype=float)
    if data.size < 2:
        return (float(data[0]) if data.size else math.nan), math.nan, math.nan
    low, high = in_general(data).bounds(confidence)
    return float(data.mean()), float(low), float(high)


def pooled_std(stds: Iterable[float]) -> float:
    """Root mean variance of a table's cells; those without a std (one run) are left out."""
    known = [std for std in stds if not math.isnan(std)]
    return math.sqrt(sum(std**2 for std in known) / len(known)) if known else math.nan


@dataclass(frozen=True, kw_only=True)
class PublishedDifference:
    """Ours minus a published value (points of top-1), its standard error and intervals."""

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
    """F5, equivalence to a published value: SE^2 = std^2/trials + published_std^2/published_runs.

    ``std`` is ``pooled_std`` over the table's cells, in points. NaN for what the source does not
    state: ``PUBLISHED_STD`` and ``PUBLISHED_RUNS`` stand for it. Quantiles are normal: the std is
    pooled over a table, and so the power (0.80 at a margin of 2.93 SE) holds.
    """
    if trials < 1:
        raise UserError(f"a comparison needs at least 1 trial, not {trials}")
    their_std = PUBLISHED_STD.value if math.isnan(published_std) else published_std
    their_runs = PUBLISHED_RUNS.value if math.isnan(published_runs) else published_runs
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


def hull(last: PublishedDifference, best: PublishedDifference) -> PublishedDifference:
    """For a source that does not say which epoch it reports: what must hold for both holds here."""
    return PublishedDifference(
        difference=(last.difference + best.difference) / 2,
        standard_error=max(last.standard_error, best.standard_error),
        low90=min(last.low90, best.low90),
        high90=max(last.high90, best.high90),
        low95=min(last.low95, best.low95),
        high95=max(last.high95, best.high95),
    )


def table_difference(differences: Iterable[float]) -> PublishedDifference:
    """Of a whole table: t intervals over its cells' differences (ours - published), in points.

    Cells without both values are left out; NaN below two. Margin: ``MARGINS["table"]``.
    """
    known = np.array([d for d in differences if not math.isnan(d)])
    mean, low90, high90 = t_interval(known, 0.90)
    _, low95, high95 = t_interval(known)
    error = float(known.std(ddof=1)) / math.sqrt(known.size) if known.size > 1 else math.nan
    return PublishedDifference(
        difference=mean,
        standard_error=error,
        low90=low90,
        high90=high90,
        low95=low95,
        high95=high95,
    )


def published_margin(published_runs: float) -> float:
    """The margin fixed in advance: a wider one unless the source states 3 or more runs."""
    return MARGINS["runs stated" if published_runs >= 3 else "runs unknown"].value
