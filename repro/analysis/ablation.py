"""What each choice of CMKD is worth: every variant less the default, paired by trial (F1)."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from repro.analysis.accuracy import PRIMARY, PRIMARY_WORDS
from repro.analysis.formats import table_files
from repro.analysis.standing import judged_rows, less_reference, reversed_family, standing
from repro.analysis.tables import MISSING, Places, difference_words, p_words, spread_words
from repro.paper import EFFECTS

DEFAULT = "cmkd"
LEGEND = (
    f"Cells: our mean ± std (trials) of top-1 (%), {PRIMARY_WORDS}. Difference: the "
    f"row less {DEFAULT}, on the same trials, with its 95 % interval (F1: methods x trials of the "
    "pair) and the trials of both.",
    f"Verdicts on either side, D = {EFFECTS['C5'].value:g} points, after Holm over the pair's "
    f"variants ({DEFAULT}/...), and over the other methods as a family of their own. Supported: "
    "surely above 0; refuted: surely below D; both refuted: alike within D. Bold: the best of a "
    "pair, underlined: the second, where the 95 % interval to the next one lies above 0.",
)


def ablation_table(
    results: pd.DataFrame, pairs: Sequence[str], methods: Sequence[str]
) -> pd.DataFrame:
    """One row a (pair, method), in the order of ``methods``; what is not finished has NaN.

    ``family``: how many comparisons Holm's correction counts, finished or not. ``better`` and
    ``worse``: verdicts on the method, and on the default, as the better of the two.
    """
    rows = [row for pair in pairs for row in _pair_rows(results, pair, methods)]
    return pd.DataFrame(rows)


def trials_of(results: pd.DataFrame, pair: str) -> pd.DataFrame:
    """Top-1 by trial (rows) and method (columns), of one pair's students."""
    own = results[(results["pair"] == pair) & (results["method"] != "teacher")]
    return own.pivot_table(index="trial", columns="method", values=PRIMARY)


def _pair_rows(results: pd.DataFrame, pair: str, methods: Sequence[str]) -> list[dict[str, Any]]:
    trials = trials_of(results, pair)
    others = [method for method in methods if method not in (DEFAULT, "teacher")]
    judged: dict[str, dict[str, Any]] = {}
    for variants in (True, False):
        names = [m for m in others if m.startswith(f"{DEFAULT}/") == variants]
        judged |= _family(trials, names)
    places = standing(trials)
    first = {m: {"pair": pair, "method": m} | mean_of(trials, m) for m in (DEFAULT, *others)}
    return [
        row | {"place": places.get(method, "")} | judged.get(method, {})
        for method, row in first.items()
    ]


def _family(trials: pd.DataFrame, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    found, effect = less_reference(trials, names, DEFAULT), EFFECTS["C5"].value
    other = judged_rows(reversed_family(found), effect)
    return {
        name: {**row, "better": row["verdict"], "worse": other[name]["verdict"]}
        for name, row in judged_rows(found, effect).items()
    }


def mean_of(trials: pd.DataFrame, method: str) -> dict[str, float]:
    values = trials[method].dropna() if method in trials else pd.Series(dtype=float)
    return {"mean": values.mean(), "std": values.std(ddof=1), "n": len(values)}


def ablation_files(table: pd.DataFrame, title: str, marks: Sequence[str]) -> dict[str, str]:
    """An ``ablation_table`` by file suffix."""
    long = table.drop(columns="verdict")
    return table_files(shown(table), long, title, lines=(*marks, *LEGEND), places=places(table))


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """As people read it."""
    return pd.DataFrame([_shown(row) for row in table.to_dict("records")])


def places(table: pd.DataFrame) -> Places:
    """Of the column of top-1."""
    return {(i, 2): place for i, place in enumerate(table["place"]) if place}


def _shown(row: dict[Any, Any]) -> dict[str, Any]:
    default = row["method"] == DEFAULT
    words = difference_words(row["difference"], row["low95"], row["high95"], row["paired_trials"])
    return {
        "pair": row["pair"],
        "method": row["method"],
        "top-1 (%)": spread_words(row["mean"], row["std"], row["n"]),
        f"less {DEFAULT}": MISSING if default else words,
        "p (Holm)": MISSING if default else p_words(row["p_holm"]),
        f"better than {DEFAULT}?": MISSING if default else row["better"],
        f"{DEFAULT} better?": MISSING if default else row["worse"],
    }
