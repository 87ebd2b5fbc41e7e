"""A student's accuracy against the strength of its teacher: claim C1."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from repro.analysis.accuracy import PRIMARY, PRIMARY_WORDS, by_teacher
from repro.analysis.plots import BAND_TRIALS, accuracy_by_teacher
from repro.analysis.save import save_figure
from repro.analysis.style import legend_below, page_figure
from repro.costs import sizes_of
from repro.results import GridResults


def write(results: GridResults, out: Path) -> list[Path]:
    """One figure for each student that has at least two finished teachers, of the methods that
    were run under two or more."""
    written = []
    parameters = {
        run.network: sizes_of(run).parameters for run in results.runs if run.method == "teacher"
    }
    for student in dict.fromkeys(pair.partition(":")[2] for pair in results.pairs):
        table = by_teacher(results.table, student, PRIMARY)
        table = table[~table["method"].str.contains("/")]  # the ablation's variants
        table = table[table.groupby("method")["teacher"].transform("nunique") > 1]
        if table["teacher_top1"].nunique() < 2:
            continue
        table.insert(2, "teacher_params", table["teacher"].map(parameters))
        stem = out / f"teacher-strength-{student}"
        written += save_figure(draw(student, table), table, stem, results.marks)
    return written


def draw(student: str, table: pd.DataFrame) -> Figure:
    """Against the teacher's top-1, and against its size."""
    figure = page_figure(3.4)
    left, right = figure.subplots(1, 2, sharey=True)
    accuracy_by_teacher(left, table)
    accuracy_by_teacher(right, table, "teacher_params")
    right.set_ylabel("")
    legend_below(figure, left)
    bands = f"bands: 95 % intervals over n trials (from {BAND_TRIALS} on)"
    figure.suptitle(f"{student} under stronger teachers, {PRIMARY_WORDS}\n{bands}")
    return figure
