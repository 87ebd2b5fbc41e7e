"""Inter-class relations: how far a student's are from its teacher's, in four forms."""

import math
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro.analysis.colours import colour_of
from repro.analysis.correlation import matrix_rows, superclass_order
from repro.analysis.maps import correlation_heatmaps
from repro.analysis.measured import matrices_of, relations_of
from repro.analysis.regions import unpacked
from repro.analysis.save import file_name, save_figure, trials_shown
from repro.analysis.style import page_figure
from repro.analysis.tables import to_csv
from repro.files import write_atomically
from repro.results import GridResults
from repro.spec import Run

FORMS = {
    "raw": "mean logits",
    "zscored": "mean z-scored logits",
    "correlation": "correlation of logits",
    "probabilities": "correlation of probabilities",
}
TOP = 0.995  # one colour range a form: this quantile over all panels, so outliers do not blind it
MOST_METHODS = 6  # drawn a figure; the numbers are of all

Matrices = dict[str, dict[str, np.ndarray]]  # by form and method


def write(results: GridResults, out: Path) -> list[Path]:
    """Heat maps of one trial a method with the matrices drawn; numbers of every trial."""
    written = []
    for pair in results.pairs:
        if not results.teacher(pair):
            continue
        drawn = dict(islice(results.first_trials(pair).items(), MOST_METHODS))
        matrices, numbers = measure(results, results.students(pair), drawn)
        figure = draw(results, matrices, numbers)
        figure.suptitle(title(pair, drawn, numbers["method"].nunique()))
        stem = out / f"inter-class-correlation-{file_name(pair)}"
        written += save_figure(figure, numbers, stem, results.marks)
        path = stem.with_name(f"{stem.name}-matrices.csv")
        write_atomically(path, to_csv(long_rows(results, matrices), results.marks))
        written.append(path)
    return written


def measure(
    results: GridResults, students: list[Run], drawn: dict[str, Run]
) -> tuple[Matrices, pd.DataFrame]:
    """|D| [K, K] of the runs ``drawn``, classes in the order drawn; numbers of all students."""
    order = np.ix_(*2 * (class_order(results),))
    matrices: Matrices = {form: {} for form in FORMS}
    for row in matrices_of(results, list(drawn.values())).to_dict("records"):
        matrix = (
            unpacked(row["matrix"], "f2").astype(float).reshape(2 * (len(results.class_names),))
        )
        matrices[row["form"]][row["method"]] = matrix[order]
    return matrices, relations_of(results, students)


def class_order(results: GridResults) -> np.ndarray:
    classes = results.superclass_of
    return superclass_order(classes) if classes else np.arange(len(results.class_names))


def draw(results: GridResults, matrices: Matrices, numbers: pd.DataFrame) -> Figure:
    """A row of panels a form, a column a method."""
    columns = len(matrices["raw"])
    figure = page_figure(0.9 + 1.8 * len(FORMS))
    axes = figure.subplots(len(FORMS), columns, squeeze=False)
    class_axis = "class, by superclass" if results.superclass_of else "class"
    last = list(FORMS)[-1]
    for row, (form, words) in zip(axes, FORMS.items(), strict=True):
        panels = matrices[form]
        vmax = float(np.quantile(np.stack(list(panels.values())), TOP))
        titled = {f"{m}\n{caption(numbers, form, m)}": panels[m] for m in panels}
        correlation_heatmaps(list(row), titled, vmax, label="")
        for ax, method in zip(row, panels, strict=True):
            ax.title.set(fontsize=6.5 if columns < MOST_METHODS else 6, color=colour_of(method))
            ax.set_ylabel(f"{words}\n{class_axis}" if ax is row[0] else "", fontsize=7)
            ax.set_xlabel(class_axis if form == last else "", fontsize=7)
            ax.tick_params(labelsize=6, labelleft=ax is row[0], labelbottom=form == last)
            ax.locator_params(integer=True)
    return figure


def title(pair: str, drawn: dict[str, Run], methods: int) -> str:
    shown = trials_shown({method: run.trial for method, run in drawn.items()})
    lines = [
        f"{pair}: distance of inter-class relations, |student - teacher|",
        f"{shown} drawn, one colour range a row; mean and largest off the diagonal,",
        "Frobenius norm, each ± std over n trials",
    ]
    if methods > len(drawn):
        lines.append(f"the first {len(drawn)} of {methods} methods; the CSV has numbers of all")
    return "\n".join(lines)


def caption(numbers: pd.DataFrame, form: str, method: str) -> str:
    """The three numbers off one form's panel, each with its std over trials."""
    cell = numbers[(numbers["form"] == form) & (numbers["method"] == method)]
    mean, largest, norm = (spread(cell[name]) for name in ("mean", "max", "frobenius"))
    return f"mean {mean}\nmax {largest}\nFrob. {norm}\nn = {len(cell)}"


def spread(values: pd.Series) -> str:
    """Mean ± std, both to the second digit of the std, such as "132 ± 38" or "0.120 ± 0.011"."""
    mean, std = values.mean(), values.std(ddof=1)
    if len(values) < 2 or not std > 0:
        return f"{mean:.3g}"
    digits = max(1 - math.floor(math.log10(std)), 0)
    return f"{mean:.{digits}f} ± {std:.{digits}f}"


def long_rows(results: GridResults, matrices: Matrices) -> pd.DataFrame:
    """Every panel, a row an entry: form, method, row_class, column_class, value."""
    names = [results.class_names[i] for i in class_order(results)]
    return pd.concat(
        matrix_rows(matrix, names).assign(form=form, method=method)
        for form, panels in matrices.items()
        for method, matrix in panels.items()
    )[["form", "method", "row_class", "column_class", "value"]]
