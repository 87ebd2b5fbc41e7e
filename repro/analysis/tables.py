"""A comparison table as Markdown, LaTeX and CSV text.

``marks`` are the lines that every output must carry, such as "Profile quick: not the paper's
protocol"; the footnotes say how to read a cell and where each published value comes from.
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
IN_LATEX = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
LEGEND = (
    "Cells: our mean ± std (trials) | published value [epoch it reports] | ours - published | "
    "whether it is reproduced (the margin at which it would be). Ours is the best epoch beside "
    "[best], the last epoch otherwise. Bold: the best of a pair, underlined: the second, where the "
    "95 % interval to the next one (paired, mean of the last 10 epochs) lies above 0."
)
LATEX = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "|": "$|$", "<": "$<$", ">": "$>$", "×": r"$\times$"},
    **{"[": "{[}", "]": "{]}", "–": "--", "—": "---", "→": r"$\rightarrow$"},
}


def wide(table: pd.DataFrame) -> pd.DataFrame:
    """Methods as rows, pairs as columns, both in order of appearance in a ``comparison_table``.

    A cell reads "72.31 ± 0.20 (5) | 71.97 [best] | +0.34 | reproduced (±0.48)"; what is missing is
    "-".
    """
    cells = {(row["method"], row["pair"]): _cell(row) for row in table.to_dict("records")}
    methods, pairs = (list(dict.fromkeys(table[name])) for name in ("method", "pair"))
    return pd.DataFrame(
        [[cells.get((method, pair), MISSING) for pair in pairs] for method in methods],
        index=pd.Index(methods, name="method"),
        columns=pairs,
    )


def _cell(row: dict[Any, Any]) -> str:
    ours = published = difference = MISSING
    if row["n"]:
        spread = "" if math.isnan(row["std"]) else f" ± {row['std']:.2f}"
        ours = f"{row['mean']:.2f}{spread} ({row['n']})"
    if not math.isnan(row["published_top1"]):
        published = f"{row['published_top1']:.2f} [{row['published_epoch']}]"
    if not math.isnan(row["difference"]):
        difference = f"{row['difference']:+.2f}"
    parts = [ours, published, difference]
    if row["reproduced"]:
        margin = row["smallest_margin"]
        words = "" if math.isnan(margin) else f" (±{margin:.2f})"
        parts.append(f"{row['reproduced']}{words}")
    return MISSING if set(parts) == {MISSING} else " | ".join(parts)


def places(table: pd.DataFrame) -> dict[tuple[int, int], str]:
    """ "best" and "second" by (row, column) of ``wide`` with its index as the first column."""
    methods, pairs = (list(dict.fromkeys(table[name])) for name in ("method", "pair"))
    return {
        (methods.index(row["method"]), 1 + pairs.index(row["pair"])): row["place"]
        for row in table.to_dict("records")
        if row["place"]
    }


def footnotes(table: pd.DataFrame) -> tuple[str, ...]:
    """How to read a cell, then one line a published source with its places."""
    places: dict[str, list[str]] = {}
    for source, place in zip(table["published_source"], table["published_place"], strict=True):
        if source and place not in places.setdefault(source, []):
            places[source].append(place)
    return LEGEND, *(f"Published: {name}, {'; '.join(where)}." for name, where in places.items())


def comparison_files(table: pd.DataFrame, title: str, marks: Sequence[str]) -> dict[str, str]:
    """A ``comparison_table`` by file suffix: wide ``.md`` and ``.tex``, long ``.csv``."""
    lines = (*marks, *footnotes(table))
    cells, marked = wide(table), places(table)
    return {
        ".md": to_markdown(cells, title, lines, marked),
        ".tex": to_latex(cells, title, lines, marked),
        ".csv": to_csv(table, lines),
    }


def to_markdown(
    df: pd.DataFrame, title: str, marks: Sequence[str], places: Places = NO_PLACES
) -> str:
    """Any frame as a Markdown table under title and marks; a named index is the first column.

    ``places``: "best" (bold) and "second" (underlined) by (row, column).
    """
    header, *rows = [[_markdown(cell) for cell in line] for line in text_rows(df)]
    lines = [header, ["---"] * len(header), *_marked(rows, places, MARKDOWN)]
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    notes = "\n".join(f"- {mark}" for mark in marks)
    return "\n\n".join(part for part in (f"# {title}", notes, body) if part) + "\n"


def _markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _marked(rows: list[list[str]], places: Places, forms: Mapping[str, str]) -> Iterable[list[str]]:
    """``rows`` with the cells that have a place in its form."""
    for i, row in enumerate(rows):
        yield [forms[places.get((i, j), "")].format(cell) for j, cell in enumerate(row)]


def to_latex(
    df: pd.DataFrame, caption: str, marks: Sequence[str], places: Places = NO_PLACES
) -> str:
    """Any frame as a booktabs table, shrunk to the line width; needs booktabs and graphicx."""
    header, *rows = ([latex_escape(cell) for cell in line] for line in text_rows(df))
    rows = list(_marked(rows, places, IN_LATEX))
    notes = "".join(f"\\par\\footnotesize {latex_escape(mark)}\n" for mark in marks)
    body = "\n".join(f"{' & '.join(line)} \\\\" for line in rows)
    return (
        "% needs \\usepackage{booktabs,graphicx}\n"
        "\\begin{table}[htbp]\n\\centering\n"
        f"\\caption{{{latex_escape(caption)}}}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{{'l' * len(header)}}}\n\\toprule\n"
        f"{' & '.join(header)} \\\\\n\\midrule\n{body}\n"
        f"\\bottomrule\n\\end{{tabular}}}}\n{notes}\\end{{table}}\n"
    )


def latex_escape(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(LATEX.get(char, char) for char in text)


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
