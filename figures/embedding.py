"""A map of penultimate features of test images of ten classes (t-SNE)."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from repro.analysis.colours import colour_of
from repro.analysis.embedding import NEIGHBOURS
from repro.analysis.measured import embedding_of
from repro.analysis.panels import embedding_points
from repro.analysis.save import file_name, save_figure
from repro.analysis.shown import compared, titled
from repro.analysis.style import legend_below, page_figure, panel_grid
from repro.results import GridResults
from repro.spec import key

COLUMNS = 3


def write(results: GridResults, out: Path) -> list[Path]:
    """The teacher and one trial a method; the CSV holds every point."""
    written = []
    for pair in results.pairs:
        runs = compared(results, pair)
        rows = embedding_of(results, list(runs.values()))
        panels = {name: rows[rows["key"] == key(run)] for name, run in runs.items()}
        figure = draw(panels, results.class_names)
        images = len(rows) // len(panels)
        words = f"penultimate features of {images} test images; numbers: of the features"
        figure.suptitle(titled(results, runs, words))
        data = pd.concat(part.assign(network=name) for name, part in panels.items())
        written += save_figure(figure, data, out / f"embedding-{file_name(pair)}", results.marks)
    return written


def draw(panels: dict[str, pd.DataFrame], class_names: tuple[str, ...]) -> Figure:
    figure = page_figure(0.9 + 2.5 * -(-len(panels) // COLUMNS))
    axes = panel_grid(figure, len(panels), COLUMNS)
    for ax, (name, rows) in zip(axes, panels.items(), strict=True):
        labels = rows["label"].to_numpy(int)
        names = {int(c): class_names[c] for c in sorted(set(labels.tolist()))}
        embedding_points(ax, rows[["x", "y"]].to_numpy(float), labels, names)
        ax.set_title(f"{name}\n{caption(rows)}", color=colour_of(name))
    legend_below(figure, axes[0])
    return figure


def caption(rows: pd.DataFrame) -> str:
    near, silhouette = rows[["knn_top1", "silhouette"]].iloc[0]
    return f"{NEIGHBOURS} nearest: {near:.1f} %; silhouette {silhouette:.3f}"
