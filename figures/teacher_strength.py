"""A student's accuracy against the strength of its teacher: claim C1."""

from pathlib import Path

from matplotlib.figure import Figure

from repro.analysis.accuracy import by_teacher
from repro.analysis.plots import accuracy_by_teacher
from repro.analysis.save import save_figure
from repro.results import GridResults


def write(results: GridResults, out: Path) -> list[Path]:
    """One figure for each student that has at least two finished teachers."""
    written = []
    for student in dict.fromkeys(pair.partition(":")[2] for pair in results.pairs):
        table = by_teacher(results.table, student)
        if table["teacher_top1"].nunique() < 2:
            continue
        figure = Figure(figsize=(5, 3.8), layout="constrained")
        ax = accuracy_by_teacher(figure.subplots(), table)
        ax.set_title(f"{student} under stronger teachers", fontsize=10)
        stem = out / f"teacher-strength-{student}"
        written += save_figure(figure, table, stem, results.marks)
    return written
