"""Any frame as Markdown and CSV text; ``latex`` and ``webpage`` have the other forms.

``marks`` are the lines that every output must carry, such as "Profile quick: not the paper's
protocol".
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

MISSING = "-"
Places = Mapping[tuple[int, int], str]
NO_PLACES: Places = {}
MARKDOWN = {"": "{}", "best": "**{}**", "second": "<u>{}</u>"}


def to_markdown(
    df: pd.DataFrame, title: str, marks: Sequence[str], places: Places = NO_PLACES
) -> str:
    """Any frame as a Markdown table under title and marks; a named index is the first column.

    ``places``: "best" (bold) and "second" (underlined) by (row, column).
    """
    header, *rows = [[_markdown(cell) for cell in line] for line in text_rows(df)]
    lines = [header, ["---"] * len(header), *_marked(rows, places)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"- {mark}" for mark in marks)
    return "\n\n".join(part for part in (f"# {title}", notes, body) if part) + "\n"


def _markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _marked(rows: list[list[str]], places: Places) -> Iterable[list[str]]:
    """``rows`` with the cells that have a place in its form."""
    for i, row in enumerate(rows):
        yield [MARKDOWN[places.get((i, j), "")].format(cell) for j, cell in enumerate(row)]


def counted(number: int, thing: str) -> str:
    """As in "1 pair" and "2 pairs"."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def spread_words(mean: float, std: float, n: int, digits: int = 2) -> str:
    """A cell of our own, such as "72.31 ± 0.20 (5)": mean, standard deviation and trials."""
    if not n:
        return MISSING
    spread = "" if math.isnan(std) else f" ± {std:.{digits}f}"
    return f"{mean:.{digits}f}{spread} ({n})"


def difference_words(difference: float, low: float, high: float, n: float) -> str:
    """A paired difference, such as "+0.42 [+0.10, +0.74] (5)": 95 % interval and trials."""
    if math.isnan(difference):
        return MISSING
    interval = "" if math.isnan(low) else f" [{low:+.2f}, {high:+.2f}]"
    return f"{difference:+.2f}{interval} ({n:.0f})"


def p_words(p: float) -> str:
    return MISSING if math.isnan(p) else f"{p:.2g}"


def to_csv(df: pd.DataFrame, marks: Sequence[str]) -> str:
    """Any frame as CSV below its marks, which are lines starting with "# "; tuples become words.

    Read it back with ``pd.read_csv(path, comment="#")``.
    """
    flat = _with_index(df)
    text = io.StringIO()
    text.writelines(f"# {mark}\n" for mark in marks)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(flat.columns)
    writer.writerows(zip(*(_csv_cells(column) for _, column in flat.items()), strict=True))
    return text.getvalue()


def _csv_cells(column: pd.Series) -> list[Any]:
    """As ``DataFrame.to_csv`` writes them, in a fifth of its time; what is missing is empty."""
    values = column.tolist()
    if column.dtype.kind == "f" and column.dtype != float:
        values = column.to_numpy().astype(str).tolist()  # float32 in its own few digits
    elif column.dtype == object:
        values = [" ".join(cell) if isinstance(cell, tuple) else cell for cell in values]
    if not column.hasnans:
        return values
    return [None if missing else cell for cell, missing in zip(values, column.isna(), strict=True)]


def _with_index(df: pd.DataFrame) -> pd.DataFrame:
    return df.reset_index() if df.index.name else df


def text_rows(df: pd.DataFrame) -> list[list[str]]:
    """The header and the rows as text; NaN and "" become "-", fractions get two decimals."""
    flat = _with_index(df)
    rows = flat.astype(object).itertuples(index=False, name=None)
    return [[str(name) for name in flat.columns], *([_text(cell) for cell in row] for row in rows)]


def _text(cell: Any) -> str:
    if isinstance(cell, tuple):
        return " ".join(str(part) for part in cell) or MISSING
    if cell is None or cell == "" or cell != cell:  # NaN is not equal to itself
        return MISSING
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)
