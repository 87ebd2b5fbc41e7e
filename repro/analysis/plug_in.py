"""What adding CMKD's terms to a method gains, beside adding DIST's: claim C6's table."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from repro.analysis.accuracy import cell_runs
from repro.analysis.estimates import cell
from repro.analysis.tables import MISSING, to_csv, to_latex, to_markdown

LEGEND = (
    "Cells: mean ± std (trials) of top-1 (%), last epoch. Gain: with the plug-in less without, on "
    "the same trials, with a 95 % interval from all rows of the pair (n trials), each by itself."
)


def plug_in_table(
    results: pd.DataFrame, pairs: Sequence[str], methods: Sequence[str], plugs: Sequence[str]
) -> pd.DataFrame:
    """One row a (pair, method, plug-in): both means, and the paired gain with its interval.

    ``methods``: the rows of the grid, sums included ("kd", "kd+cmkd"). What is not finished is NaN.
    """
    rows = []
    for pair in pairs:
        trials = _by_trial(results, pair, methods)
        for method in methods:
            for plug in plugs:
                if f"{method}+{plug}" in methods:
                    rows.append(_row(trials, results, (pair, method, plug)))
    return pd.DataFrame(rows)


def _by_trial(results: pd.DataFrame, pair: str, methods: Sequence[str]) -> pd.DataFrame:
    """Top-1 by trial (rows) and method (columns), of one pair."""
    runs = pd.concat([cell_runs(results, pair, method) for method in methods])
    return runs.drop_duplicates("key").pivot(index="trial", columns="method", values="top1_last")


def _row(trials: pd.DataFrame, results: pd.DataFrame, row: tuple[str, str, str]) -> dict[str, Any]:
    pair, method, plug = row
    both = f"{method}+{plug}"
    gain = cell(trials, (both, method))
    return {
        **{"pair": pair, "method": method, "plug_in": plug},
        **_numbers(trials, method, "alone"),
        **_numbers(trials, both, "with"),
        **{"gain": gain.estimate, "low95": gain.low, "high95": gain.high},
        "paired_trials": gain.counts.trials,
        "keys_alone": tuple(cell_runs(results, pair, method)["key"]),
        "keys_with": tuple(cell_runs(results, pair, both)["key"]),
    }


def _numbers(trials: pd.DataFrame, method: str, name: str) -> dict[str, float]:
    values = trials[method].dropna() if method in trials else pd.Series(dtype=float)
    mean = float(values.mean()) if len(values) else math.nan
    return {name: mean, f"{name}_std": float(values.std(ddof=1)), f"{name}_n": len(values)}


def plug_in_files(table: pd.DataFrame, title: str, marks: Sequence[str]) -> dict[str, str]:
    """A ``plug_in_table`` by file suffix: wide ``.md`` and ``.tex``, long ``.csv``."""
    lines = (*marks, LEGEND)
    cells = wide(table)
    return {
        ".md": to_markdown(cells, title, lines),
        ".tex": to_latex(cells, title, lines),
        ".csv": to_csv(table, lines),
    }


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """A row a (pair, method): alone, and for each plug-in the result and the gain."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in table.to_dict("records"):
        cells = rows.setdefault(
            (row["pair"], row["method"]),
            {"pair": row["pair"], "method": row["method"], "alone": _cell(row, "alone")},
        )
        cells[f"+ {row['plug_in']}"] = _cell(row, "with")
        cells[f"gain of {row['plug_in']}"] = _gain(row)
    return pd.DataFrame(list(rows.values()))


def _cell(row: dict[Any, Any], name: str) -> str:
    if not row[f"{name}_n"]:
        return MISSING
    std = row[f"{name}_std"]
    spread = "" if np.isnan(std) else f" ± {std:.2f}"
    return f"{row[name]:.2f}{spread} ({row[f'{name}_n']})"


def _gain(row: dict[Any, Any]) -> str:
    if np.isnan(row["gain"]):
        return MISSING
    interval = ""
    if not np.isnan(row["low95"]):
        interval = f" [{row['low95']:+.2f}, {row['high95']:+.2f}]"
    return f"{row['gain']:+.2f}{interval} ({row['paired_trials']})"
