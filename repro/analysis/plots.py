"""Accuracy, curves and boundary numbers: each function draws data on an ``Axes`` and returns it."""

from collections.abc import Iterable
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import LogLocator, NullFormatter

from repro.analysis.colours import colour_of
from repro.analysis.palette import OTHER_COLOUR, TERM_COLOURS, marker_of

BAND_TRIALS = 3  # an interval of two trials would fill the panel
TeacherColumn = Literal["teacher_top1", "teacher_params"]
TEACHER_LABELS = {
    "teacher_top1": "teacher's own test top-1 (%)",
    "teacher_params": "teacher's parameters (millions)",
}
AXIS_LABELS = {
    "test_top1": "test top-1 (%)",
    "test_loss": "test loss (nats)",
    "train_loss": "training objective",
    "fragmentation": "fragmentation (regions a plane)",
    "ambiguity": "ambiguous points (share)",
    "agreement": "agreement with the teacher (share)",
    "margin": "margin, at most |x2 - x1|\n(normalised input units)",
}


def training_curves(
    ax: Axes, histories: pd.DataFrame, milestones: Iterable[int] = (), column: str = "test_top1"
) -> Axes:
    """A run a thin line, the mean over a method's runs thick, learning-rate drops dotted.

    ``histories``: long, with key, method, epoch (from 0) and ``column``; pass one pair at a time.
    The mean ends where the first of its runs ends.
    """
    for method, runs in histories.groupby("method", sort=False):
        _curves(ax, runs, column, str(method), colour_of(str(method)))
    _mark_milestones(ax, milestones)
    return _finish(ax, "epoch", AXIS_LABELS.get(column, column))


def weights_over_epochs(ax: Axes, weights: pd.DataFrame, milestones: Iterable[int] = ()) -> Axes:
    """The mean weight of each term by epoch: runs thin, their mean thick.

    ``weights``: long, with key, term (such as ``pearson``), epoch (from 0) and weight.
    """
    for term, runs in weights.groupby("term", sort=False):
        _curves(ax, runs, "weight", str(term), TERM_COLOURS.get(str(term), colour_of(str(term))))
    for line in ax.lines[1:]:  # two weights of one half each lie on each other
        line.set_linestyle("--")
    _mark_milestones(ax, milestones)
    return _finish(ax, "epoch", "mean weight of the term")


def _curves(ax: Axes, runs: pd.DataFrame, column: str, label: str, colour: str) -> None:
    by_run = runs.pivot(index="epoch", columns="key", values=column).sort_index()
    epochs = by_run.index.to_numpy(float)
    lines = [np.column_stack([epochs, values]) for values in by_run.to_numpy(float).T]
    # One artist a method: with one a run, layout and legend look at each of thousands of lines.
    ax.add_collection(LineCollection(lines, colors=colour, linewidths=0.6, alpha=0.45))
    mean = by_run.mean(axis=1, skipna=False)
    name = f"{label} (n={by_run.shape[1]})"
    ax.plot(mean.index, mean.to_numpy(), color=colour, linewidth=2.0, label=name)


def _mark_milestones(ax: Axes, milestones: Iterable[int]) -> None:
    for i, epoch in enumerate(milestones):
        label = "learning-rate drop" if i == 0 else None
        ax.axvline(epoch, color=OTHER_COLOUR, linestyle=":", linewidth=1.0, label=label)


def accuracy_by_teacher(
    ax: Axes, table: pd.DataFrame, x_column: TeacherColumn = "teacher_top1"
) -> Axes:
    """Student top-1 against its teacher, one line a method; band = 95 % interval over trials, from
    ``BAND_TRIALS`` on.

    ``table``: as from ``accuracy.by_teacher``, with teacher, method, ``x_column``, mean, ci95, n.
    """
    for method, rows in table.groupby("method", sort=False):
        line = rows.sort_values(x_column)
        x, mean, half = (line[c].to_numpy(float) for c in (x_column, "mean", "ci95"))
        colour, marker = colour_of(str(method)), marker_of(str(method))
        ax.plot(x, mean, color=colour, marker=marker, label=f"{method} (n={counts(line['n'])})")
        half = np.where(line["n"] >= BAND_TRIALS, half, np.nan)
        ax.fill_between(x, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
    if x_column == "teacher_params":
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(lambda millions, _: f"{millions / 1e6:g}")
        ax.xaxis.set_minor_formatter(NullFormatter())
    _name_teachers(ax, table, x_column)
    ax.set_xlabel(TEACHER_LABELS[x_column])
    ax.set_ylabel("student's test top-1 (%)")
    ax.grid(alpha=0.25)
    return ax


def _name_teachers(ax: Axes, table: pd.DataFrame, x_column: str) -> None:
    """Along the lower edge, at their places."""
    for row in table.drop_duplicates("teacher").to_dict("records"):
        where = (row[x_column], 0.02)
        name = ax.annotate(row["teacher"], where, xycoords=("data", "axes fraction"))
        name.set(rotation=90, fontsize=6, ha="center", va="bottom", color=OTHER_COLOUR)
    ax.margins(y=0.25)


def counts(trials: pd.Series) -> str:
    """ "5", or "3 to 5" where cells differ."""
    low, high = int(trials.min()), int(trials.max())
    return str(low) if low == high else f"{low} to {high}"


def boundary_numbers(ax: Axes, summary: pd.DataFrame, number: str) -> Axes:
    """One number of the decision regions a network: its mean and interval.

    ``summary``: as from ``boundary.plane_summary``, with name, number, mean, low, high, censored; a
    name is a method, coloured as such, or ``teacher``. Above a margin stands the share of planes
    that is censored.
    """
    rows = summary[(summary["number"] == number) & summary["mean"].notna()]
    for place, row in enumerate(rows.to_dict("records")):
        spread = [[row["mean"] - row["low"]], [row["high"] - row["mean"]]]
        colour, marker = colour_of(row["name"]), marker_of(row["name"])
        ax.errorbar([place], [row["mean"]], spread, color=colour, fmt=marker)
        if pd.notna(row["censored"]):
            _write_above(ax, place, row["high"], f"{row['censored']:.0%}")
    if rows["censored"].notna().any():
        ax.set_title("above: share of planes without a change up to x2")
        ax.margins(y=0.15)
    ax.set_xticks(range(len(rows)), list(rows["name"]), rotation=30, ha="right")
    ax.set_xlim(-0.5, len(rows) - 0.5)
    ax.set_xlabel("network trained with")
    ax.set_ylabel(AXIS_LABELS.get(number, number))
    ax.grid(axis="y", alpha=0.25)
    return ax


def _write_above(ax: Axes, x: float, y: float, text: str) -> None:
    ax.annotate(text, (x, y), (0, 4), textcoords="offset points", ha="center", fontsize=6.5)


def _finish(ax: Axes, x_label: str, y_label: str) -> Axes:
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.grid(alpha=0.25)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False)
    return ax
