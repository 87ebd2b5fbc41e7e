"""Inter-class relations: how far a student's are from its teacher's, in three forms."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro.analysis.correlation import differences, summary_numbers, superclass_order
from repro.analysis.maps import correlation_heatmaps
from repro.analysis.save import file_name, save_figure
from repro.results import GridResults

FORMS = {
    "raw": "mean logits",
    "zscored": "mean z-scored logits",
    "correlation": "class correlation",
}
TOP = 0.995  # one colour range a form: this quantile over all panels, so outliers do not blind it


def write(results: GridResults, out: Path) -> list[Path]:
    """Heat maps of trial 0, one colour range a form; numbers of every trial beside them."""
    written = []
    for pair in results.pairs:
        matrices, numbers = measure(results, pair)
        if matrices:
            stem = out / f"inter-class-correlation-{file_name(pair)}"
            written += save_figure(
                draw(results, pair, matrices, numbers), numbers, stem, results.marks
            )
    return written


def measure(
    results: GridResults, pair: str
) -> tuple[dict[str, dict[str, np.ndarray]], pd.DataFrame]:
    """|D| by form and method (of the first trial), and a row of numbers a run and form."""
    teacher = results.teacher(pair)
    matrices: dict[str, dict[str, np.ndarray]] = {}
    rows = []
    for run in results.students(pair) if teacher else ():
        logits = results.test_logits(run)
        assert teacher
        forms = differences(logits, results.test_logits(teacher), results.test_labels)
        for form, matrix in forms.items():
            matrices.setdefault(form, {}).setdefault(run.method, matrix)
            row = {"pair": pair, "method": run.method, "trial": run.trial, "form": form}
            rows.append(row | summary_numbers(matrix))
    return matrices, pd.DataFrame(rows)


def draw(
    results: GridResults,
    pair: str,
    matrices: dict[str, dict[str, np.ndarray]],
    numbers: pd.DataFrame,
) -> Figure:
    columns = max(len(panels) for panels in matrices.values())
    figure = Figure(figsize=(2.6 * columns + 1.2, 3.1 * len(FORMS) + 0.6), layout="constrained")
    axes = figure.subplots(len(FORMS), columns, squeeze=False)
    classes = results.dataset.superclass_of
    order = superclass_order(classes) if classes else np.arange(len(results.dataset.class_names))
    for row, (form, title) in zip(axes, FORMS.items(), strict=True):
        panels = matrices[form]
        vmax = float(np.quantile(np.stack(list(panels.values())), TOP))
        titled = {
            f"{method}: {title}\n{_caption(numbers, form, method)}": matrix[np.ix_(order, order)]
            for method, matrix in panels.items()
        }
        correlation_heatmaps(list(row[: len(titled)]), titled, vmax)
        for ax in row:
            ax.title.set_fontsize(7)
    figure.suptitle(f"{pair}: |student - teacher|; trial 0 shown, mean ± std over trials in words")
    return figure


def _caption(numbers: pd.DataFrame, form: str, method: str) -> str:
    cell = numbers[(numbers["form"] == form) & (numbers["method"] == method)]
    spread = f" ± {cell['mean'].std():.3f}" if len(cell) > 1 else ""
    return f"mean {cell['mean'].mean():.3f}{spread}, max {cell['max'].mean():.2f} (n={len(cell)})"
