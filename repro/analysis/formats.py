"""A table in every form: what is read as Markdown, LaTeX and a web page, all numbers as CSV."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from repro.analysis.latex import to_latex
from repro.analysis.tables import NO_PLACES, Places, to_csv, to_markdown
from repro.analysis.webpage import to_html
from repro.files import write_atomically


def table_files(
    shown: pd.DataFrame,
    long: pd.DataFrame,
    title: str,
    *,
    lines: Sequence[str],
    places: Places = NO_PLACES,
) -> dict[str, str]:
    """By file suffix: ``shown`` with its ``places`` to read, ``long`` to work with.

    ``lines`` stand on each: marks, and how a cell is to be read.
    """
    return {
        ".md": to_markdown(shown, title, lines, places),
        ".tex": to_latex(shown, title, lines, places),
        ".html": to_html(shown, title, lines, places),
        ".csv": to_csv(long, lines),
    }


def write_files(files: Mapping[str, str], stem: Path) -> list[Path]:
    """``stem`` with each suffix; the paths written."""
    paths = [stem.with_name(f"{stem.name}{suffix}") for suffix in files]
    for path, text in zip(paths, files.values(), strict=True):
        write_atomically(path, text)
    return paths
