"""Whether a table's row as a whole reproduces the published one: F5 over the cells of a method."""

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from repro.analysis.accuracy import cell_runs
from repro.analysis.statistics import PublishedDifference, hull, table_difference
from repro.analysis.tables import counted
from repro.paper import MARGINS


def row_differences(
    results: pd.DataFrame, table: pd.DataFrame
) -> dict[str, tuple[int, PublishedDifference]]:
    """By method of a ``comparison_table``: pairs with both values, and their mean difference.

    Two pairs or more. A source that does not say its epoch must agree with both of ours. Teachers
    are left out: one of them stands under several pairs.
    """
    known = table[table["difference"].notna() & (table["method"] != "teacher")]
    rows: dict[str, list[dict[Any, Any]]] = {}
    for row in known.to_dict("records"):
        rows.setdefault(row["method"], []).append(row)
    return {
        method: (len(cells), _hull(results, cells))
        for method, cells in rows.items()
        if len(cells) > 1
    }


def _hull(results: pd.DataFrame, cells: list[dict[Any, Any]]) -> PublishedDifference:
    last = table_difference(row["difference"] for row in cells)
    if not any(row["published_epoch"] == "unknown" for row in cells):
        return last
    return hull(last, table_difference(_best(results, row) for row in cells))


def _best(results: pd.DataFrame, row: dict[Any, Any]) -> float:
    """The difference by our best epoch, where the source does not say which it reports."""
    if row["published_epoch"] != "unknown":
        return float(row["difference"])
    runs = cell_runs(results, row["pair"], row["method"]).drop_duplicates("key")
    return float(runs["top1_best"].mean()) - float(row["published_top1"])


def row_lines(found: Mapping[str, tuple[int, PublishedDifference]]) -> tuple[str, ...]:
    """One line to stand under the table; none without a row of two pairs or more."""
    margin = MARGINS["table"].value
    said = [
        f"{method} {one.difference:+.2f} [{one.low90:+.2f}, {one.high90:+.2f}] "
        f"({counted(pairs, 'pair')}) {one.verdict(margin)} (±{one.smallest_margin:.2f})"
        for method, (pairs, one) in found.items()
        if not math.isnan(one.standard_error)
    ]
    if not said:
        return ()
    head = f"Ours - published, mean over pairs [90 % interval], reproduced within ±{margin:g}"
    return (f"{head}: {'; '.join(said)}.",)
