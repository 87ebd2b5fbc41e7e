"""Several comparisons at once: Holm's correction, and conjunctions by intersection-union."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from repro.analysis.estimates import Estimate
from repro.analysis.rules import Array

LEVEL = 0.05  # two-sided; half of it for each one-sided question


@dataclass(frozen=True, kw_only=True)
class Adjusted:
    """One comparison's p-values in a family of ``size``; NaN if it has not run.

    ``p`` is two-sided of no effect, ``p_effect`` one-sided of the smallest effect of interest or
    more; ``_holm`` those after Holm's correction, each within its own kind.
    """

    p: float
    p_holm: float
    p_effect: float
    p_effect_holm: float
    size: int


def holm(p: ArrayLike) -> Array:
    """Holm 1979's adjusted p-values along the last axis [..., k].

    One that is NaN stays so and counts as 1: a family is as large as it was planned.
    """
    values = np.asarray(p, dtype=float)
    size = values.shape[-1]
    order = np.argsort(values, axis=-1)  # NaN last
    steps = np.take_along_axis(values, order, -1) * np.arange(size, 0, -1)
    adjusted = np.minimum(1, np.maximum.accumulate(steps, axis=-1))
    result = np.empty_like(adjusted)
    np.put_along_axis(result, order, adjusted, -1)
    return result


def adjust(family: Mapping[str, Estimate], effect: float) -> dict[str, Adjusted]:
    """Every comparison of a family, with ``effect`` its smallest effect of interest."""
    found = family.values()
    two_sided = np.array([e.p if e.is_run else np.nan for e in found])
    at_least = np.array([e.p_at_least(effect) if e.is_run else np.nan for e in found])
    columns = (two_sided, holm(two_sided), at_least, holm(at_least))
    return {
        name: Adjusted(
            p=float(p),
            p_holm=float(p_holm),
            p_effect=float(below),
            p_effect_holm=float(below_holm),
            size=len(family),
        )
        for name, p, p_holm, below, below_holm in zip(family, *columns, strict=True)
    }


def all_positive(comparisons: Iterable[Estimate]) -> bool:
    """The conjunction: each is positive by its own unadjusted p (intersection-union, Berger 1982).

    No correction: all must hold, so its error is at most that of one.
    """
    found = list(comparisons)
    return bool(found) and all(e.is_run and e.estimate > 0 and e.p <= LEVEL for e in found)


def reversed_cells(cells: Mapping[str, Estimate]) -> tuple[str, ...]:
    """The cells (F1) whose own Holm interval lies below zero: exceptions to an average."""
    if not cells:
        return ()
    adjusted = holm([e.p if e.is_run else np.nan for e in cells.values()])
    return tuple(
        name
        for (name, e), p in zip(cells.items(), adjusted, strict=True)
        if p <= LEVEL and e.estimate < 0
    )
