"""What adding CMKD's terms to a method gains, beside adding DIST's: claim C6's table."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from repro.analysis.accuracy import PRIMARY, PRIMARY_WORDS, cell_runs
from repro.analysis.estimates import cell
from repro.analysis.formats import table_files
from repro.analysis.standing import judged_rows
from repro.analysis.tables import difference_words, p_words, spread_words
from repro.paper import EFFECTS

EFFECT = EFFECTS["C6"].value
LEGEND = (
    f"Cells: mean ± std (trials) of top-1 (%), {PRIMARY_WORDS}. Gain: with the plug-in "
    "less without, on the same trials, with its 95 % interval (F1, all rows of the pair) and the "
    "trials of both.",
    f"Verdict: is the gain above 0, with D = {EFFECT:g} points; p-value and verdict after Holm "
    "over the methods that a plug-in is added to on a pair, finished or not.",
)


def plug_in_table(
    results: pd.DataFrame, pairs: Sequence[str], methods: Sequence[str], plugs: Sequence[str]
) -> pd.DataFrame:
    """One row a (pair, method, plug-in): both means, and the paired gain with its interval.

    ``methods``: the rows of the grid, sums included ("kd", "kd+cmkd"). What is not finished is NaN.
    ``family``: the methods of a pair that the plug-in is added to (Holm).
    """
    rows = []
    for pair in pairs:
        trials = _by_trial(results, pair, methods)
        for plug in plugs:
            alone = [method for method in methods if f"{method}+{plug}" in methods]
            gains = {m: cell(trials, (f"{m}+{plug}", m)) for m in alone}
            judged = judged_rows(gains, EFFECT)
            rows += [_row(trials, results, (pair, m, plug)) | judged[m] for m in alone]
    return pd.DataFrame(rows).rename(columns={"difference": "gain"})


def _by_trial(results: pd.DataFrame, pair: str, methods: Sequence[str]) -> pd.DataFrame:
    """Top-1 by trial (rows) and method (columns), of one pair."""
    runs = pd.concat([cell_runs(results, pair, method) for method in methods])
    return runs.drop_duplicates("key").pivot(index="trial", columns="method", values=PRIMARY)


def _row(trials: pd.DataFrame, results: pd.DataFrame, row: tuple[str, str, str]) -> dict[str, Any]:
    pair, method, plug = row
    both = f"{method}+{plug}"
    return {
        **{"pair": pair, "method": method, "plug_in": plug},
        **_numbers(trials, method, "alone"),
        **_numbers(trials, both, "with"),
        "keys_alone": tuple(cell_runs(results, pair, method)["key"]),
        "keys_with": tuple(cell_runs(results, pair, both)["key"]),
    }


def _numbers(trials: pd.DataFrame, method: str, name: str) -> dict[str, float]:
    values = trials[method].dropna() if method in trials else pd.Series(dtype=float)
    return {
        name: float(values.mean()),
        f"{name}_std": float(values.std(ddof=1)),
        f"{name}_n": len(values),
    }


def plug_in_files(table: pd.DataFrame, title: str, marks: Sequence[str]) -> dict[str, str]:
    """A ``plug_in_table`` by file suffix."""
    return table_files(wide(table), table, title, lines=(*marks, *LEGEND))


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """A row a (pair, method): alone, and for each plug-in the result, the gain and the verdict."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in table.to_dict("records"):
        alone = spread_words(row["alone"], row["alone_std"], row["alone_n"])
        cells = rows.setdefault(
            (row["pair"], row["method"]),
            {"pair": row["pair"], "method": row["method"], "alone": alone},
        )
        plug, p = row["plug_in"], p_words(row["p_holm"])
        cells[f"+ {plug}"] = spread_words(row["with"], row["with_std"], row["with_n"])
        cells[f"gain of {plug}"] = difference_words(
            row["gain"], row["low95"], row["high95"], row["paired_trials"]
        )
        cells[f"{plug}: verdict (p)"] = f"{row['verdict']} ({p})"
    return pd.DataFrame(list(rows.values()))
