"""Accuracy on corrupted and on attacked test images: claim C7."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.analysis.corruption import CLEAN, CORRUPTIONS, mean_corrupted
from repro.analysis.measured import attack_of, corruption_of
from repro.analysis.measuring import LABELS
from repro.analysis.panels import interval_points, trial_curves
from repro.analysis.save import file_name, save_figure
from repro.analysis.shown import all_trials, methods_of
from repro.analysis.style import legend_below, page_figure, panel_grid
from repro.results import GridResults


def write(results: GridResults, out: Path) -> list[Path]:
    """Every method of a pair and the teacher; the CSV holds every trial's accuracies."""
    written = []
    for pair in results.pairs:
        teacher = results.teacher(pair)
        methods = ({"teacher": teacher} if teacher else {}) | methods_of(results, pair)
        runs = all_trials(results, pair, methods)
        corrupted, attacked = corruption_of(results, runs), attack_of(results, runs)
        figure = draw(pair, corrupted, attacked)
        data = pd.concat([corrupted, attacked.assign(corruption="attack")])
        stem = out / f"robustness-{file_name(pair)}"
        written += save_figure(figure, data, stem, results.marks)
    return written


def draw(pair: str, corrupted: pd.DataFrame, attacked: pd.DataFrame) -> Figure:
    """A panel a corruption, then the attack, then the mean over all corruptions."""
    figure = page_figure(7.4)
    axes = panel_grid(figure, len(CORRUPTIONS) + 2, 3)
    means = mean_corrupted(corrupted, list(LABELS))
    labels = {str(method): caption(runs) for method, runs in means.groupby("method", sort=False)}
    for ax, name in zip(axes, CORRUPTIONS, strict=False):
        corruption_panel(ax, corrupted, name, labels)
    trial_curves(axes[-2], attacked, "radius", "top1", labels)
    axes[-2].set_xticks(sorted(attacked["radius"].unique()))
    axes[-2].set_xlabel("radius of the attack (of 255, L∞)")
    axes[-2].set_title("PGD attack")
    interval_points(axes[-1], means, "corrupted")
    axes[-1].set_title("mean over all corruptions")
    for ax in axes:
        ax.set_ylabel("test top-1 (%)")
    words = "mean over corruptions and severities, drop from clean (points; n: trials)"
    legend_below(figure, axes[0], title=words)
    figure.suptitle(
        f"{pair}: corrupted images, the same {corrupted['images'].iloc[0]} for every network, and "
        f"attacks on {attacked['images'].iloc[0]}\n"
        "trials thin, their mean thick; last panel: 95 % intervals over trials (from 3 on)"
    )
    return figure


def corruption_panel(ax: Axes, rows: pd.DataFrame, name: str, labels: dict[str, str]) -> None:
    """Severity 0 is the clean images; the ticks name the strengths."""
    trial_curves(ax, rows[rows["corruption"].isin([CLEAN[0], name])], "severity", "top1", labels)
    strengths = CORRUPTIONS[name]
    ticks = ["clean", *(f"{value:g}" for value in strengths.values)]
    ax.set_xticks(range(len(ticks)), ticks)
    ax.set_xlabel(strengths.unit)
    ax.set_title(name)


def caption(runs: pd.DataFrame) -> str:
    corrupted, drop = runs["corrupted"].mean(), runs["drop"].mean()
    return f"{runs['method'].iloc[0]}: {corrupted:.1f} %, drop {drop:.1f} (n={len(runs)})"
