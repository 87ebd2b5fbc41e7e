"""The best and the second method of a pair, and paired differences of methods with verdicts."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from repro.analysis.estimates import Estimate, cell
from repro.analysis.verdict import Verdict, verdicts

NAMES = ("best", "second")


def standing(trials: pd.DataFrame, *, lower: bool = False) -> dict[str, str]:
    """ "best" and "second" by method, each only where it is surely ahead of the next one (F1).

    ``trials``: a row a trial, a column a method. ``lower``: less is better.
    """
    values = -trials if lower else trials
    ordered = list(values.mean().sort_values(ascending=False, kind="stable").index)
    steps = zip(NAMES, ordered, ordered[1:], strict=False)
    return {first: name for name, first, after in steps if cell(values, (first, after)).low > 0}


def less_reference(
    trials: pd.DataFrame, methods: Sequence[str], reference: str
) -> dict[str, Estimate]:
    """F1 of each method less the reference, on the same trials; those not finished have not run."""
    return {method: cell(trials, (method, reference)) for method in methods if method != reference}


def reversed_family(family: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """The same comparisons from the other side: the reference less each method."""
    return {name: found.negated for name, found in family.items()}


def judged_rows(family: Mapping[str, Estimate], effect: float) -> dict[str, dict[str, Any]]:
    """By comparison the numbers of its row in a CSV, with Holm's p-value and the verdict."""
    return {name: numbers(found) for name, found in verdicts(family, effect=effect).items()}


def numbers(found: Verdict) -> dict[str, Any]:
    """``effect``: D, the smallest effect of interest. ``verdict``: of a difference above 0."""
    estimate, adjusted = found.estimate, found.adjusted
    return {
        "difference": estimate.estimate,
        "low95": estimate.low,
        "high95": estimate.high,
        "df": estimate.df,
        "paired_trials": estimate.counts.trials,
        "p": adjusted.p,
        "p_holm": adjusted.p_holm,
        "family": adjusted.size,
        "effect": found.effect,
        "verdict": found.words,
    }
