"""Accuracies beside published values (``accuracy.comparison_table``) as people read them."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from repro.analysis.accuracy import PRIMARY_WORDS
from repro.analysis.formats import table_files
from repro.analysis.tables import MISSING, spread_words

LEGEND = (
    "Cells: our mean ± std (trials) | published value [epoch it reports, number of its source] | "
    "ours - published | whether it is reproduced (the margin at which it would be). Ours is the "
    "best epoch beside [best], the last epoch otherwise. Bold: the best of a pair, underlined: the "
    f"second, where the 95 % interval to the next one (paired, {PRIMARY_WORDS}) lies above 0."
)
BESIDE = (
    "Cells: our mean ± std (trials) | published value [epoch it reports, number of its source]. "
    "Not compared: published values are of the paper's protocol, ours are not. Ours is the best "
    "epoch beside [best], the last epoch otherwise. Bold: the best of a pair, underlined: the "
    f"second, where the 95 % interval to the next one (paired, {PRIMARY_WORDS}) lies above 0."
)
ALONE = (
    "Cells: our mean ± std (trials), last epoch; nothing is published for these. Bold: the best of "
    "a pair, underlined: the second, where the 95 % interval to the next one (paired, "
    f"{PRIMARY_WORDS}) lies above 0."
)


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """Methods as rows, pairs as columns, both in order of appearance in a ``comparison_table``.

    A cell reads "72.31 ± 0.20 (5) | 71.97 [best, 1] | +0.34 | reproduced (±0.48)"; what is missing
    is "-". The number names a source of ``footnotes``; without any, a cell is ours alone. What is
    not compared has no difference and no verdict.
    """
    numbers, compared = _sources(table), is_compared(table)
    cells = {
        (row["method"], row["pair"]): _cell(row, numbers, compared)
        for row in table.to_dict("records")
    }
    methods, pairs = (list(dict.fromkeys(table[name])) for name in ("method", "pair"))
    return pd.DataFrame(
        [[cells.get((method, pair), MISSING) for pair in pairs] for method in methods],
        index=pd.Index(methods, name="method"),
        columns=pairs,
    )


def _sources(table: pd.DataFrame) -> dict[str, int]:
    """From 1 on, in order of appearance."""
    known = [source for source in dict.fromkeys(table["published_source"]) if source]
    return {source: number for number, source in enumerate(known, start=1)}


def is_compared(table: pd.DataFrame) -> bool:
    """Not where ours and a published value stand side by side without their difference."""
    both = table["mean"].notna() & table["published_top1"].notna()
    return not (both & table["difference"].isna()).any()


def _cell(row: dict[Any, Any], sources: dict[str, int], compared: bool) -> str:
    ours = spread_words(row["mean"], row["std"], row["n"])
    if not sources:
        return ours
    published = difference = MISSING
    if not math.isnan(row["published_top1"]):
        where = f"{row['published_epoch']}, {sources[row['published_source']]}"
        published = f"{row['published_top1']:.2f} [{where}]"
    if not math.isnan(row["difference"]):
        difference = f"{row['difference']:+.2f}"
    parts = [ours, published, difference] if compared else [ours, published]
    if row["reproduced"]:
        margin = row["smallest_margin"]
        words = "" if math.isnan(margin) else f" (±{margin:.2f})"
        parts.append(f"{row['reproduced']}{words}")
    return MISSING if set(parts) == {MISSING} else " | ".join(parts)


def places(table: pd.DataFrame) -> dict[tuple[int, int], str]:
    """ "best" and "second" by (row, column) of ``wide`` with its index as the first column."""
    methods, pairs = (list(dict.fromkeys(table[name])) for name in ("method", "pair"))
    return {
        (methods.index(row["method"]), 1 + pairs.index(row["pair"])): row["place"]
        for row in table.to_dict("records")
        if row["place"]
    }


def footnotes(table: pd.DataFrame) -> tuple[str, ...]:
    """How to read a cell, then one line a published source with its places."""
    found: dict[str, list[str]] = {source: [] for source in _sources(table)}
    for source, place in zip(table["published_source"], table["published_place"], strict=True):
        if source and place not in found[source]:
            found[source].append(place)
    lines = [f"{name}, {'; '.join(where)}." for name, where in found.items()]
    legend = (LEGEND if is_compared(table) else BESIDE) if lines else ALONE
    return legend, *(f"Published, {number}: {line}" for number, line in enumerate(lines, start=1))


def comparison_files(
    table: pd.DataFrame, title: str, marks: Sequence[str], more: Sequence[str] = ()
) -> dict[str, str]:
    """A ``comparison_table`` by file suffix: ``wide`` to read, long as CSV.

    ``more``: lines to stand after those that say how to read it.
    """
    lines = (*marks, *footnotes(table), *more)
    return table_files(wide(table), table, title, lines=lines, places=places(table))
