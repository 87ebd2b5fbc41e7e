"""What tuning on held-out images is worth to a method, and what CMKD has over others then."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from repro.analysis.ablation import mean_of, trials_of
from repro.analysis.accuracy import PRIMARY_WORDS
from repro.analysis.estimates import Arms, cell
from repro.analysis.formats import table_files
from repro.analysis.standing import judged_rows
from repro.analysis.tables import MISSING, difference_words, p_words, spread_words
from repro.paper import EFFECTS
from repro.variants import CANDIDATES_OF

EFFECT, LEADER = EFFECTS["C4 cell"].value, "cmkd"
GAIN, LEAD, TUNED_LEAD = "gain of tuning", f"{LEADER} less it", f"{LEADER} less it, both tuned"
COLUMNS = ["pair", "method", "as it is", "tuned", "top-1 tuned", GAIN, LEAD, TUNED_LEAD]
LEGEND = (
    f"Cells: our mean ± std (trials) of top-1 (%) on the test images, {PRIMARY_WORDS}. Tuned: with "
    "the temperature and the weight that were best of six candidates on held-out images, the same "
    "budget for each method; where its own values were, it is as it is.",
    f"Differences: on the same trials, with their 95 % intervals (F1, all rows of the pair) and "
    f"the trials of both. Verdict: is it above 0, with D = {EFFECT:g} points; p-value and verdict "
    "after Holm over a column.",
)


def tuned_table(
    results: pd.DataFrame, pairs: Sequence[str], methods: Sequence[str]
) -> pd.DataFrame:
    """One row a (pair, method, comparison): ``GAIN``, ``LEAD`` or ``TUNED_LEAD``.

    ``methods``: the rows of the grid. ``tuned``: the variant that stands for the method then, or
    the method. A comparison that is none, CMKD's with itself, has no row.
    """
    rows = []
    for pair in pairs:
        trials = trials_of(results, pair)
        tuned = {m: _tuned(m, methods) for m in CANDIDATES_OF}
        for name, family in _families(tuned).items():
            judged = judged_rows({m: cell(trials, arms) for m, arms in family.items()}, EFFECT)
            first = {"pair": pair, "comparison": name}
            for method, found in judged.items():
                after = mean_of(trials, tuned[method])
                cells = mean_of(trials, method) | {f"tuned_{n}": v for n, v in after.items()}
                rows.append(first | {"method": method, "tuned": tuned[method]} | cells | found)
    return pd.DataFrame(rows)


def _tuned(method: str, methods: Sequence[str]) -> str:
    return next((row for row in methods if row.startswith(f"{method}/")), method)


def _families(tuned: Mapping[str, str]) -> dict[str, dict[str, Arms]]:
    others = [method for method in tuned if method != LEADER]
    return {
        GAIN: {m: (tuned[m], m) for m in tuned if tuned[m] != m},
        LEAD: {m: (LEADER, m) for m in others},
        TUNED_LEAD: {m: (tuned[LEADER], tuned[m]) for m in others},
    }


def tuned_files(table: pd.DataFrame, title: str, marks: Sequence[str]) -> dict[str, str]:
    """A ``tuned_table`` by file suffix."""
    return table_files(shown(table), table, title, lines=(*marks, *LEGEND))


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """A row a (pair, method), as people read it."""
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for row in table.to_dict("records"):
        cells = rows.setdefault(
            (row["pair"], row["method"]),
            {
                "pair": row["pair"],
                "method": row["method"],
                "as it is": spread_words(row["mean"], row["std"], row["n"]),
                "tuned": row["tuned"].removeprefix(f"{row['method']}/"),
                "top-1 tuned": spread_words(row["tuned_mean"], row["tuned_std"], row["tuned_n"]),
            },
        )
        cells[row["comparison"]] = _words(row)
    pairs = list(dict.fromkeys(table["pair"]))
    ordered = sorted(rows, key=lambda row: (pairs.index(row[0]), CANDIDATES_OF.index(row[1])))
    return pd.DataFrame([rows[row] for row in ordered], columns=COLUMNS).fillna(MISSING)


def _words(row: Mapping[str, Any]) -> str:
    difference = difference_words(
        row["difference"], row["low95"], row["high95"], row["paired_trials"]
    )
    return f"{difference}, {row['verdict']} ({p_words(row['p_holm'])})"
