"""Any frame as a LaTeX table that compiles and can be read: booktabs, no wider than the line.

Cells of several parts ("ours | published | difference") stand on as many lines, and columns of long
text are broken: a wide table that is merely shrunk has letters of two points.
"""

from collections.abc import Sequence

import pandas as pd

from repro.analysis.tables import MISSING, NO_PLACES, Places, text_rows

BETWEEN = " | "  # of the parts of a cell
MANY = 8  # columns; in a table with more, a spread or an interval stands below its number
LONGEST = 26  # letters of a line in a column that is not broken
WRAPPED = "p{4.2cm}"
FORMS = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
ESCAPED = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"±": r"$\pm$", "|": "$|$", "<": "$<$", ">": "$>$", "×": r"$\times$", "−": "$-$"},
    **{"[": "{[}", "]": "{]}", "–": "--", "—": "---", "→": r"$\rightarrow$"},
    **{"ρ": r"$\rho$", "τ": r"$\tau$", "≤": r"$\leq$", "≥": r"$\geq$", "∞": r"$\infty$"},
}


def to_latex(
    df: pd.DataFrame, caption: str, marks: Sequence[str], places: Places = NO_PLACES
) -> str:
    """Any frame as a booktabs table, shrunk to the line width; needs booktabs and graphicx."""
    header, *rows = text_rows(df)
    if len(header) > MANY:
        rows = [[_folded(cell) for cell in row] for row in rows]
    cells = [
        [_cell(cell, FORMS[places.get((i, j), "")]) for j, cell in enumerate(row)]
        for i, row in enumerate(rows)
    ]
    notes = "".join(f"\\par\\raggedright\\footnotesize {latex_escape(mark)}\n" for mark in marks)
    body = "".join(f"{' & '.join(line)} \\\\\n" for line in cells)
    return (
        "% needs \\usepackage{booktabs,graphicx}\n"
        "\\begin{table}[htbp]\n\\centering\\setlength{\\tabcolsep}{3pt}\n"
        f"\\caption{{{latex_escape(caption)}}}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        f"\\begin{{tabular}}{{{_columns(header, rows)}}}\n\\toprule\n"
        f"{' & '.join(map(latex_escape, header))} \\\\\n\\midrule\n{body}"
        f"\\bottomrule\n\\end{{tabular}}}}\n{notes}\\end{{table}}\n"
    )


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The column types: broken where a line of a cell is long."""
    longest = [
        max((len(part) for cell in column for part in cell.split(BETWEEN)), default=0)
        for column in zip(header, *rows, strict=True)
    ]
    return "".join("l" if length <= LONGEST else WRAPPED for length in longest)


def _cell(text: str, form: str) -> str:
    """The first part in its form; further ones below it."""
    first, *others = (latex_escape(part) for part in text.split(BETWEEN))
    while others and others[-1] == MISSING:
        others.pop()  # each would take a line
    if not others:
        return form.format(first)
    lines = r" \\ ".join((form.format(first), *others))
    return rf"\begin{{tabular}}[t]{{@{{}}l@{{}}}}{lines}\end{{tabular}}"


def _folded(cell: str) -> str:
    return cell.replace(" ± ", f"{BETWEEN}± ").replace(" [", f"{BETWEEN}[")


def latex_escape(text: str) -> str:
    """Text that LaTeX prints as it is."""
    return "".join(ESCAPED.get(char, char) for char in text)
