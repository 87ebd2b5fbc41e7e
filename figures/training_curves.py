"""Test accuracy and loss by epoch: every trial thin, the mean of a method thick."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from repro.analysis.plots import training_curves
from repro.analysis.save import file_name, save_figure
from repro.analysis.style import legend_below, page_figure
from repro.results import GridResults

COLUMNS = ("test_top1", "test_loss")


def write(results: GridResults, out: Path) -> list[Path]:
    written = []
    histories = results.histories("test/top1", "test/loss")
    by_pair = dict(list(histories.groupby("pair", sort=False)))
    for pair in results.pairs:
        curves, student = by_pair.get(pair, histories[:0]), pair.partition(":")[2]
        figure = draw(pair, curves, results.profile.optim(student).milestones)
        stem = out / f"training-curves-{file_name(pair)}"
        written += save_figure(figure, curves, stem, results.marks)
    return written


def draw(pair: str, curves: pd.DataFrame, milestones: tuple[int, ...]) -> Figure:
    """The loss on a log scale: it falls by orders of magnitude."""
    methods = max(curves["method"].nunique(), 1)
    figure = page_figure(3.1 + 0.05 * methods)
    axes = figure.subplots(1, 2)
    for ax, column in zip(axes, COLUMNS, strict=True):
        training_curves(ax, curves, milestones, column)
        if ax.get_legend():
            ax.get_legend().remove()
    if len(curves):
        axes[1].set_yscale("log")
    legend_below(figure, axes[0])
    figure.suptitle(f"{pair}: test images after each epoch; trials thin, their mean thick")
    return figure
