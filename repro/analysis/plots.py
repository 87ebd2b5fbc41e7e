"""Accuracy, curves and boundary numbers: each function draws data on an ``Axes`` and returns it."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from repro.analysis.colours import colour_of
from repro.analysis.palette import OTHER_COLOUR, TERM_COLOURS, marker_of

AXIS_LABELS = {
    "test_top1": "test top-1 (%)",
    "test_loss": "test loss (nats)",
    "train_loss": "training objective",
    "fragmentation": "fragmentation (regions a plane)",
    "ambiguity": "ambiguous points (share)",
    "agreement": "agreement with the teacher (share)",
    "margin": "margin, at most |x2 - x1|\n(normalised input units)",
}
MOST_WITHIN = 12  # entries of a legend within a panel of 3.6 inches
LEGEND_ROWS, LEGEND_INCHES = 20, 2.2  # of a legend beside the panels: rows and width a column


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


def one_legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """Panels with the same curves need one: in the first, or beside all if it would cover them."""
    handles, labels = axes[0].get_legend_handles_labels()
    beside = len(labels) > MOST_WITHIN
    for ax in axes if beside else axes[1:]:
        legend = ax.get_legend()
        if legend:
            legend.remove()
    if not beside:
        return
    columns = math.ceil(len(labels) / LEGEND_ROWS)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width + LEGEND_INCHES * columns, height)
    legend = figure.legend(handles, labels, loc="outside right upper", ncols=columns, fontsize=7)
    legend.set_frame_on(False)


def weights_over_epochs(ax: Axes, weights: pd.DataFrame, milestones: Iterable[int] = ()) -> Axes:
    """The mean weight of each term by epoch: runs thin, their mean thick.

    ``weights``: long, with key, term (such as ``pearson``), epoch (from 0) and weight.
    """
    for term, runs in weights.groupby("term", sort=False):
        _curves(ax, runs, "weight", str(term), TERM_COLOURS.get(str(term), colour_of(str(term))))
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


def accuracy_by_teacher(ax: Axes, table: pd.DataFrame) -> Axes:
    """Student top-1 against the teacher's own, one line a method, band = 95 % interval.

    ``table``: as from ``accuracy.by_teacher``, with method, teacher_top1, mean, ci95.
    """
    for method, rows in table.groupby("method", sort=False):
        line = rows.sort_values("teacher_top1")
        x, mean, half = (line[c].to_numpy(float) for c in ("teacher_top1", "mean", "ci95"))
        colour, marker = colour_of(str(method)), marker_of(str(method))
        ax.plot(x, mean, color=colour, marker=marker, markersize=5, label=str(method))
        ax.fill_between(x, mean - half, mean + half, color=colour, alpha=0.15, linewidth=0)
    return _finish(ax, "teacher's own test top-1 (%)", "student's test top-1 (%)")


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
        ax.errorbar([place], [row["mean"]], spread, color=colour, fmt=marker, capsize=4)
        if pd.notna(row["censored"]):
            _write_above(ax, place, row["high"], f"{row['censored']:.0%}")
    if rows["censored"].notna().any():
        ax.set_title("above: share of planes with no change up to x2", fontsize=8)
        ax.margins(y=0.15)
    ax.set_xticks(range(len(rows)), list(rows["name"]), rotation=30, ha="right")
    ax.set_xlim(-0.5, len(rows) - 0.5)
    ax.set_xlabel("network trained with")
    ax.set_ylabel(AXIS_LABELS.get(number, number))
    ax.grid(axis="y", alpha=0.25)
    return ax


def _write_above(ax: Axes, x: float, y: float, text: str) -> None:
    ax.annotate(text, (x, y), (0, 4), textcoords="offset points", ha="center", fontsize=7)


def _finish(ax: Axes, x_label: str, y_label: str) -> Axes:
    ax.set_xlabel(x_label)
    ax.set_ylabel(y_label)
    ax.grid(alpha=0.25)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize=8, frameon=False)
    return ax
