"""Accuracy on corrupted and on attacked test images: claim C7."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.analysis.corruption import CLEAN, CORRUPTIONS, mean_corrupted
from repro.analysis.measured import attack_of, corruption_of
from repro.analysis.measuring import LABELS
from repro.analysis.panels import interval_points, legend_beside, trial_curves
from repro.analysis.save import file_name, save_figure
from repro.analysis.shown import all_trials, methods_of
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
    figure = Figure(figsize=(16, 6.6), layout="constrained")
    axes = list(figure.subplots(2, 4).flat)
    means = mean_corrupted(corrupted, list(LABELS))
    labels = {str(method): caption(runs) for method, runs in means.groupby("method", sort=False)}
    for ax, name in zip(axes, CORRUPTIONS, strict=False):
        corruption_panel(ax, corrupted, name, labels)
    trial_curves(axes[-2], attacked, "radius", "top1", labels)
    axes[-2].set_xticks(sorted(attacked["radius"].unique()))
    axes[-2].set_xlabel("radius of the attack (of 255, L∞)")
    axes[-2].set_title("PGD attack", fontsize=9)
    interval_points(axes[-1], means, "corrupted")
    axes[-1].set_title("mean over corruptions and severities", fontsize=9)
    for ax in axes:
        ax.set_ylabel("test top-1 (%)")
    legend_beside(figure, axes[0])
    figure.suptitle(
        f"{pair}: corrupted images, the same {corrupted['images'].iloc[0]} for every network; "
        "trials thin, their mean thick\n"
        "legend: mean over corruptions and severities, drop from clean; last panel: 95 % interval",
        fontsize=10,
    )
    return figure


def corruption_panel(ax: Axes, rows: pd.DataFrame, name: str, labels: dict[str, str]) -> None:
    """Severity 0 is the clean images; the ticks name the strengths."""
    trial_curves(ax, rows[rows["corruption"].isin([CLEAN[0], name])], "severity", "top1", labels)
    strengths = CORRUPTIONS[name]
    ticks = ["clean", *(f"{value:g}" for value in strengths.values)]
    ax.set_xticks(range(len(ticks)), ticks, fontsize=8)
    ax.set_xlabel(f"severity ({strengths.unit})")
    ax.set_title(name, fontsize=9)


def caption(runs: pd.DataFrame) -> str:
    corrupted, drop = runs["corrupted"].mean(), runs["drop"].mean()
    return f"{runs['method'].iloc[0]}: {corrupted:.1f} %, drop {drop:.1f} (n={len(runs)})"
