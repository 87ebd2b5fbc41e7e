"""Do students rank the classes as their teacher does, on easy images and on hard ones?"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from repro.analysis.measured import ranks_of
from repro.analysis.panels import rank_curves
from repro.analysis.ranks import TOP
from repro.analysis.save import file_name, save_figure
from repro.analysis.shown import all_trials, methods_of
from repro.analysis.style import legend_below, page_figure
from repro.results import GridResults

STATISTICS = {"spearman": "Spearman's ρ", "kendall": "Kendall's τ-b"}


def write(results: GridResults, out: Path) -> list[Path]:
    """Every method of a pair; the CSV holds every trial's bins (bin -1: all images)."""
    written = []
    for pair in results.pairs:
        runs = all_trials(results, pair, methods_of(results, pair))
        rows = ranks_of(results, runs) if results.teacher(pair) else pd.DataFrame()
        if len(rows):
            stem = out / f"rank-agreement-{file_name(pair)}"
            written += save_figure(draw(results, rows), rows, stem, results.marks)
    return written


def draw(results: GridResults, rows: pd.DataFrame) -> Figure:
    """Two statistics below each other, over all classes and over the teacher's first few."""
    counts = [count for count in TOP if count < len(results.class_names)]
    scopes = {"": "all classes"} | {f"_top{n}": f"teacher's top {n}" for n in counts}
    labels = {str(method): caption(runs) for method, runs in rows.groupby("method", sort=False)}
    figure = page_figure(6.0)
    axes = figure.subplots(len(STATISTICS), len(scopes), squeeze=False)
    for line, (statistic, words) in zip(axes, STATISTICS.items(), strict=True):
        for ax, (suffix, scope) in zip(line, scopes.items(), strict=True):
            rank_curves(ax, rows, statistic + suffix, labels)
            ax.set_title(scope)
            ax.set_ylabel(words)
    legend_below(figure, axes[0, 0], title="mean ρ over all images and classes (n: trials)")
    figure.suptitle(
        f"{rows['pair'].iloc[0]}: agreement on the order of classes by difficulty of the image\n"
        "student with teacher; points: means over trials, lines: fitted parabolas,\n"
        "bands: 95 % intervals of the fit over trials (from 3 on)"
    )
    return figure


def caption(runs: pd.DataFrame) -> str:
    overall = runs.loc[runs["bin"] == -1, "spearman"]
    return f"{runs['method'].iloc[0]}: {overall.mean():.3f} (n={len(overall)})"
