"""Test accuracy by epoch: every trial thin, the mean of a method thick."""

from pathlib import Path

from matplotlib.figure import Figure

from repro.analysis.plots import one_legend, training_curves
from repro.analysis.save import file_name, save_figure
from repro.results import GridResults


def write(results: GridResults, out: Path) -> list[Path]:
    written = []
    histories = results.histories("test/top1", "test/loss")
    by_pair = dict(list(histories.groupby("pair", sort=False)))
    for pair in results.pairs:
        curves, student = by_pair.get(pair, histories[:0]), pair.partition(":")[2]
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        axes = figure.subplots(1, 2)
        for ax, column in zip(axes, ("test_top1", "test_loss"), strict=True):
            training_curves(ax, curves, results.profile.optim(student).milestones, column)
        one_legend(figure, axes)
        figure.suptitle(pair)
        stem = out / f"training-curves-{file_name(pair)}"
        written += save_figure(figure, curves, stem, results.marks)
    return written
