"""Paired differences of CMKD to the other methods, pair by pair: claims C4 and C6."""

from itertools import islice
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from repro.analysis.accuracy import PRIMARY, PRIMARY_WORDS
from repro.analysis.estimates import Arms, Pairs
from repro.analysis.forest import forest_table
from repro.analysis.panels import forest_panel
from repro.analysis.save import save_figure
from repro.analysis.style import page_figure
from repro.paper import EFFECTS
from repro.results import GridResults

OWN = "cmkd"
MOST = 5  # comparisons side by side
OTHERS = ("ablation", "tuning", "tuned")  # bars of its own, or rows that are no methods


def write(results: GridResults, out: Path) -> list[Path]:
    """A figure a part of the grid; the CSV has every comparison, those that are not drawn too."""
    written = []
    for part in results.parts:
        if part in OTHERS:
            continue
        pairs = trials_of(results, part)
        comparisons = compared(results, part)
        of_accuracy = "C4 cell" if len(pairs) == 1 else "C4 pairs"
        effect = EFFECTS["C6" if part == "plug-in" else of_accuracy].value
        table = forest_table(pairs, comparisons, effect)
        if len(table):
            figure = draw(part, table, effect)
            written += save_figure(figure, table, out / f"forest-{part}", results.marks)
    return written


def trials_of(results: GridResults, part: str) -> Pairs:
    """By pair: top-1, a row a trial and a column a method."""
    students = results.table[results.table["method"] != "teacher"]
    found = {pair: students[students["pair"] == pair] for pair in results.parts[part]}
    return {
        pair: rows.pivot_table(index="trial", columns="method", values=PRIMARY)
        for pair, rows in found.items()
        if len(rows)
    }


def compared(results: GridResults, part: str) -> dict[str, Arms]:
    """CMKD less each other method; among plug-ins, each method with CMKD's terms less without."""
    methods = [m for m in results.methods(part) if m != "teacher" and "/" not in m]
    if part == "plug-in":
        return {f"{m}+{OWN} - {m}": (f"{m}+{OWN}", m) for m in methods if f"{m}+{OWN}" in methods}
    return {f"{OWN} - {m}": (OWN, m) for m in methods if m != OWN and "+" not in m}


def draw(part: str, table: pd.DataFrame, effect: float) -> Figure:
    """A panel a comparison, a row a pair, the means below."""
    names = list(dict.fromkeys(table["comparison"]))
    shown = list(islice(names, MOST))
    rows = list(dict.fromkeys(table["pair"]))
    figure = page_figure(1.6 + 0.2 * len(rows))
    axes = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    for ax, name in zip(axes, shown, strict=True):
        forest_panel(ax, table[table["comparison"] == name], rows, effect)
        ax.set_title(name)
        ax.set_xlabel("points of top-1")
    some = f"; {len(shown)} of {len(names)} comparisons" if len(shown) < len(names) else ""
    figure.suptitle(
        f"{part}: paired differences, {PRIMARY_WORDS}{some}\n"
        "squares: a pair, 95 % interval (F1), in grey its trials; "
        "diamonds: mean of these pairs (F2), new pairs (F3)\n"
        f"dashed: the smallest effect of interest, D = {effect:g} points"
    )
    return figure
