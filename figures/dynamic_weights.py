"""CMKD's weights over training, and how difficulty is spread over the training images."""

from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from repro.analysis.colours import colour_of
from repro.analysis.plots import weights_over_epochs
from repro.analysis.save import file_name, save_figure
from repro.analysis.style import page_figure
from repro.results import GridResults
from repro.spec import key

TERMS = ("pearson", "spearman")
METHOD = "cmkd"
MOST = 5  # methods in a figure: CMKD and its variants that move their weights
COLUMNS = ["key", "method", "epoch"]
EPOCH_STYLES = ("-", "--", ":")  # of the first, the middle and the last epoch: they may coincide


def write(results: GridResults, out: Path) -> list[Path]:
    """For every pair with such runs: mean weights by epoch, and d's histogram at three epochs."""
    written = []
    for pair in results.pairs:
        weights, difficulty = measured(results, pair)
        if not len(weights):
            continue
        milestones = results.profile.optim(pair.partition(":")[2]).milestones
        figure = draw(weights, difficulty, milestones)
        figure.suptitle(f"{pair}: weights and difficulty in training, all trials")
        data = pd.concat([weights, difficulty])
        stem = out / f"dynamic-weights-{file_name(pair)}"
        written += save_figure(figure, data, stem, results.marks)
    return written


def draw(weights: pd.DataFrame, difficulty: pd.DataFrame, milestones: tuple[int, ...]) -> Figure:
    """A row a method: its weights, and the histograms of its d."""
    methods = list(dict.fromkeys(weights["method"]))
    figure = page_figure(0.6 + 2.2 * len(methods))
    for axes, method in zip(figure.subplots(len(methods), 2, squeeze=False), methods, strict=True):
        left, right = axes
        weights_over_epochs(left, weights[weights["method"] == method], milestones)
        left.set_ylim(0, 1)
        left.set_title(method, color=colour_of(method))
        histograms(right, difficulty[difficulty["method"] == method], colour_of(method))
    return figure


def histograms(ax: Axes, difficulty: pd.DataFrame, colour: str) -> None:
    """The share of training images by d, a line an epoch: the mean over trials."""
    for style, (epoch, rows) in zip(EPOCH_STYLES, difficulty.groupby("epoch"), strict=False):
        mean = rows.groupby("bin")["share"].mean()
        label = f"epoch {epoch} (n={rows['key'].nunique()})"
        edges = np.arange(len(mean) + 1) / len(mean)
        ax.stairs(mean, edges, linestyle=style, label=label, color=colour, linewidth=1.4)
    ax.set_title(uniform_words(difficulty))
    ax.set_xlabel("difficulty d of a training image (0 easiest, 1 hardest)")
    ax.set_ylabel("share of the images a bin")
    ax.set_ylim(bottom=0)
    ax.legend()


def uniform_words(difficulty: pd.DataFrame) -> str:
    """That nothing can be seen where d is a rank: it must not be taken for a finding."""
    spread = difficulty.groupby(["key", "bin"])["share"].nunique()
    if len(spread) and spread.max() == 1:
        return "d is a rank within the batch: the same at every epoch"
    return ""


def measured(results: GridResults, pair: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Long: (key, method, epoch, term, weight) and, where there are histograms, (key, method,
    epoch, bin, share), of the first ``MOST`` methods whose weights were logged."""
    weights, difficulty = list[dict[str, object]](), list[dict[str, object]]()
    for method in islice(moving(results, pair), MOST):
        for run in results.students(pair):
            if run.method != method:
                continue
            for entry in results.record(run).history():
                base = {"key": key(run), "method": method, "epoch": entry["epoch"]}
                weights += weight_rows(base, entry["metrics"])
                counts = np.array(entry.get("histograms", {}).get("difficulty", ()))
                shares = counts / max(counts.sum(), 1)
                difficulty += [base | {"bin": i, "share": s} for i, s in enumerate(shares)]
    return (
        pd.DataFrame(weights, columns=[*COLUMNS, "term", "weight"]),
        pd.DataFrame(difficulty, columns=[*COLUMNS, "bin", "share"]),
    )


def moving(results: GridResults, pair: str) -> list[str]:
    """CMKD first, then its variants with another difficulty."""
    variants = [name for name in results.first_trials(pair) if name.startswith(f"{METHOD}/")]
    default = results.first_trials(pair).get(METHOD)
    own = getattr(default.loss, "difficulty", None) if default else None
    other = [
        name
        for name in variants
        if getattr(results.first_trials(pair)[name].loss, "difficulty", own) != own
    ]
    return [METHOD, *other]


def weight_rows(base: dict[str, object], metrics: dict[str, float]) -> list[dict[str, object]]:
    names = {term: f"weight/{term}" for term in TERMS}
    return [
        base | {"term": term, "weight": metrics[name]}
        for term, name in names.items()
        if name in metrics
    ]
