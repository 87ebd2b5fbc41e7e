"""A figure as the house rules have it: PDF and PNG, with the CSV that it plots."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from repro.analysis.palette import mark_profile
from repro.analysis.tables import to_csv
from repro.files import write_atomically

DPI = 150


def save_figure(
    figure: Figure, data: pd.DataFrame, stem: Path, marks: tuple[str, ...]
) -> list[Path]:
    """Write ``stem``.pdf, .png and .csv; the marks stand on the figure and in the CSV."""
    if marks:
        mark_profile(figure, " ".join(marks))
    paths = [stem.with_name(stem.name + suffix) for suffix in (".pdf", ".png", ".csv")]
    figure.savefig(paths[0])
    figure.savefig(paths[1], dpi=DPI)
    write_atomically(paths[2], to_csv(data, marks))
    return paths


def file_name(pair: str) -> str:
    """``resnet56:resnet20`` as part of a file name."""
    return pair.replace(":", "-")
