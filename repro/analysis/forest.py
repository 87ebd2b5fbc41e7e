"""Paired differences of methods by pair, and their mean: the rows of a forest plot."""

import math
from collections.abc import Collection, Mapping
from typing import Any

import pandas as pd

from repro.analysis.estimates import Arms, Pairs, cell, in_general, these_pairs
from repro.analysis.standing import judged_rows

MEAN, GENERAL = "mean of these pairs", "new pairs"


def forest_table(pairs: Pairs, comparisons: Mapping[str, Arms], effect: float) -> pd.DataFrame:
    """A row a (comparison, pair) with F1; then the mean over the pairs (F2) and, from 5 students
    on, new pairs (F3). In points of the frames.

    ``pair``, ``rule``, difference, low95, high95, paired_trials and the verdict with D =
    ``effect``, after Holm over the comparisons of that row. A pair that neither arm has is left
    out; F2 of one pair is its F1 and is left out as well.
    """
    rows: list[dict[str, Any]] = []
    for pair, trials in pairs.items():
        cells = {name: cell(trials, arms) for name, arms in comparisons.items()}
        rows += _rows(pair, "F1", judged_rows(cells, effect))
    averages = {name: these_pairs(pairs, arms) for name, arms in comparisons.items()}
    rows += _rows(MEAN, "F2", judged_rows(averages, effect))
    general = {name: in_general(pairs, arms) for name, arms in comparisons.items()}
    rows += _rows(GENERAL, "F3", judged_rows(general, effect))
    several = {name for name, found in averages.items() if found.counts.pairs > 1}
    return pd.DataFrame([row for row in rows if _is_shown(row, several)])


def _is_shown(row: dict[str, Any], several: Collection[str]) -> bool:
    if row["rule"] == "F1":
        return not math.isnan(row["difference"])
    return row["comparison"] in several and not math.isnan(row["low95"])


def _rows(pair: str, rule: str, judged: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"comparison": name, "pair": pair, "rule": rule} | row for name, row in judged.items()]
