"""The house style of figures: as wide as a page's text, with letters that can be read there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

DPI = 150  # of pictures; what fits is measured at the same: letters have whole pixels
PAGE = 7.2  # inches: the text width of a page; nothing is drawn wider, or it would be shrunk
COLUMN = 3.5  # inches: one of two columns
HOUSE: Any = {
    "font.size": 8,
    "figure.titlesize": 9,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.2,
    "errorbar.capsize": 3,
    "lines.markersize": 5,
    "pdf.fonttype": 42,  # letters stay letters: they can be searched and copied
}
ROOM = 0.06  # inches around what is put below the panels


@contextmanager
def house_style() -> Iterator[None]:
    """For everything that is drawn within."""
    with mpl.rc_context(HOUSE):
        yield


def page_figure(height: float, width: float = PAGE) -> Figure:
    """An empty figure of this many inches whose layout makes room for what is written."""
    return Figure(figsize=(width, height), layout="constrained", dpi=DPI)


def panel_grid(figure: Figure, count: int, columns: int) -> list[Axes]:
    """``count`` panels in rows of ``columns``, left to right."""
    rows = -(-count // columns)
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ax in axes[count:]:
        ax.set_axis_off()
    return axes[:count]


def reserve_below(figure: Figure, inches: float) -> float:
    """Keep a strip free below all that is there so far, which moves up; its height as a share."""
    strip = inches / figure.get_size_inches()[1]
    engine = figure.get_layout_engine()
    if isinstance(engine, ConstrainedLayoutEngine):
        left, bottom, width, height = engine.get()["rect"]
        engine.set(rect=(left, bottom + strip, width, height - strip))
    for legend in figure.legends:
        anchor = getattr(legend, "strip", None)
        if anchor is not None:
            legend.strip = anchor + strip  # type: ignore[attr-defined]
            legend.set_bbox_to_anchor((0, anchor + strip, 1, 1), figure.transFigure)
    return strip


def legend_below(figure: Figure, ax: Axes, *, title: str = "") -> None:
    """One legend for panels that all show the same: that of ``ax``, below them all."""
    handles, labels = ax.get_legend_handles_labels()
    handles_below(figure, handles, labels, title=title)


def handles_below(
    figure: Figure, handles: Sequence[Artist], labels: Sequence[str], *, title: str = ""
) -> None:
    """In as many columns as fit."""
    if not labels:
        return
    renderer = FigureCanvasAgg(figure).get_renderer()
    for columns in range(len(labels), 0, -1):
        legend = figure.legend(
            handles,
            labels,
            loc="lower center",
            bbox_to_anchor=(0, 0, 1, 1),
            ncols=columns,
            title=title or None,
            borderaxespad=ROOM,
        )
        extent = legend.get_window_extent(renderer)
        if columns == 1 or extent.width <= figure.bbox.width:
            break
        legend.remove()
    legend.set_in_layout(False)
    reserve_below(figure, extent.height / figure.dpi + ROOM)
    legend.strip = 0.0  # type: ignore[attr-defined]  # how far it has been moved up
    legend.set_bbox_to_anchor((0, 0, 1, 1), figure.transFigure)
