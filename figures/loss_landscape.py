"""The training loss around finished networks, filter-normalised (Li et al. 2018)."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from repro.analysis.colours import colour_of
from repro.analysis.landscape import NEAR, near_share
from repro.analysis.measured import landscape_of
from repro.analysis.panels import landscape_contours, loss_range
from repro.analysis.save import file_name, save_figure
from repro.analysis.shown import compared, titled
from repro.analysis.style import page_figure, panel_grid
from repro.data.sizes import images_of
from repro.results import GridResults
from repro.spec import key

COLUMNS = 3


def write(results: GridResults, out: Path) -> list[Path]:
    """The teacher and one trial a method, on one colour scale; the CSV holds every point."""
    written = []
    for pair in results.pairs:
        runs = compared(results, pair)
        rows = landscape_of(results, list(runs.values()))
        panels = {name: rows[rows["key"] == key(run)] for name, run in runs.items()}
        figure = draw(
            panels, min(images_of(results.profile.stream)[0], results.profile.landscape_images)
        )
        words = "training loss on two random directions of each network's own weights"
        figure.suptitle(titled(results, runs, words))
        data = pd.concat(part.assign(network=name) for name, part in panels.items())
        stem = out / f"loss-landscape-{file_name(pair)}"
        written += save_figure(figure, data, stem, results.marks)
    return written


def draw(panels: dict[str, pd.DataFrame], images: int) -> Figure:
    figure = page_figure(0.6 + 2.5 * -(-len(panels) // COLUMNS))
    axes = panel_grid(figure, len(panels), COLUMNS)
    limits = loss_range(list(panels.values()))
    for ax, (name, rows) in zip(axes, panels.items(), strict=True):
        shown = landscape_contours(ax, rows, limits)
        ax.set_title(f"{name}\n{caption(rows)}", color=colour_of(name))
    words = f"mean cross-entropy (nats)\nof {images} training images"
    figure.colorbar(shown, ax=list(axes), label=words, shrink=0.8)
    return figure


def caption(rows: pd.DataFrame) -> str:
    loss, share = near_share(rows)
    return f"loss {loss:.3g}; {share:.0%} of the plane\nless than {NEAR:g} nat above it"
