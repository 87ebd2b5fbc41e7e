"""A figure as the house rules have it: PDF and PNG, with the CSV that it plots."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

from repro.analysis.palette import mark_profile
from repro.analysis.style import DPI
from repro.analysis.tables import to_csv
from repro.files import write_atomically


def save_figure(
    figure: Figure,
    data: pd.DataFrame,
    stem: Path,
    marks: tuple[str, ...],
    *,
    csv_notes: tuple[str, ...] = (),
) -> list[Path]:
    """Write ``stem``.pdf, .png and .csv; the marks stand on the figure and in the CSV.

    ``csv_notes`` are the first lines of the CSV, before the marks.
    """
    if marks:
        mark_profile(figure, " ".join(marks))
    paths = [stem.with_name(stem.name + suffix) for suffix in (".pdf", ".png", ".csv")]
    _draw(figure, *paths[:2])
    write_atomically(paths[2], to_csv(data, (*csv_notes, *marks)))
    return paths


def _draw(figure: Figure, pdf: Path, png: Path) -> None:
    """Laid out once, drawn once a format; ``savefig`` does both twice: half as much time again."""
    figure.set_dpi(DPI)
    FigureCanvasAgg(figure).print_png(png)
    figure.set_layout_engine("none")  # the places that it has found stay
    FigureCanvasPdf(figure).print_pdf(pdf)


def file_name(pair: str) -> str:
    """``resnet56:resnet20`` as part of a file name."""
    return pair.replace(":", "-")


def trials_shown(trials: Mapping[str, int]) -> str:
    """ "trial 0", or "trials: teacher 0, kd 1" where networks differ; trial by network."""
    numbers = set(trials.values())
    if len(numbers) == 1:
        return f"trial {numbers.pop()}"
    return "trials: " + ", ".join(f"{name} {trial}" for name, trial in trials.items())
