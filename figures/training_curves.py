"""Test accuracy by epoch: every trial thin, the mean of a method thick."""

from pathlib import Path

from matplotlib.figure import Figure

from repro.analysis.plots import training_curves
from repro.analysis.save import file_name, save_figure
from repro.results import GridResults


def write(results: GridResults, out: Path) -> list[Path]:
    written = []
    for pair in results.pairs:
        curves = results.histories[results.histories["pair"] == pair]
        student = pair.partition(":")[2]
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        for ax, column in zip(figure.subplots(1, 2), ("test_top1", "test_loss"), strict=True):
            training_curves(ax, curves, results.profile.optim(student).milestones, column)
        figure.suptitle(pair)
        stem = out / f"training-curves-{file_name(pair)}"
        written += save_figure(figure, curves, stem, results.marks)
    return written
