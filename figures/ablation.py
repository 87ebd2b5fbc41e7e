"""What each choice of CMKD is worth: variants beside the default, with intervals (C5)."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from repro.analysis.ablation import DEFAULT, trials_of
from repro.analysis.accuracy import PRIMARY, PRIMARY_WORDS
from repro.analysis.estimates import cell
from repro.analysis.panels import EFFECT_COLOUR, difference_bars
from repro.analysis.save import file_name, save_figure
from repro.analysis.style import page_figure
from repro.paper import EFFECTS
from repro.results import GridResults

EFFECT = EFFECTS["C5"].value


def write(results: GridResults, out: Path) -> list[Path]:
    """A figure a pair of the ablation with CMKD itself and another row; none for other grids."""
    written = []
    for pair in results.parts.get("ablation", ()):
        table = differences(results, pair)
        if len(table):
            stem = out / f"ablation-{file_name(pair)}"
            written += save_figure(draw(pair, table), table, stem, results.marks)
    return written


def differences(results: GridResults, pair: str) -> pd.DataFrame:
    """A row a method: difference to CMKD (points) with its interval, trials, own mean and label.

    Paired by trial; best first. Empty without CMKD or without anything beside it.
    """
    trials = trials_of(results.table, pair)
    if DEFAULT not in trials or len(trials.columns) < 2:
        return pd.DataFrame()
    rows = []
    for method in trials.columns:
        if method == DEFAULT:
            continue
        found, mean = cell(trials, (method, DEFAULT)), float(trials[method].mean())
        n = found.counts.trials
        row = {"method": method, "difference": found.estimate, "n": n}
        row |= {"low": found.low, "high": found.high}
        rows.append(row | {PRIMARY: mean, "label": f"{mean:.2f} % (n={n})"})
    return pd.DataFrame(rows).sort_values("difference", ascending=False, ignore_index=True)


def draw(pair: str, table: pd.DataFrame) -> Figure:
    figure = page_figure(0.19 * len(table) + 1.5)
    ax = difference_bars(figure.subplots(), table)
    for side in (-1, 1):
        ax.axvline(side * EFFECT, color=EFFECT_COLOUR, linewidth=0.8, linestyle="--")
    ax.set_xlabel(f"test top-1 less that of {DEFAULT} (points;\n{PRIMARY_WORDS})")
    figure.suptitle(
        f"{pair}: CMKD's variants and its neighbours\n"
        "paired by trial, lines: 95 % intervals (F1), dashed: ±D; beside a name its own top-1"
    )
    return figure
