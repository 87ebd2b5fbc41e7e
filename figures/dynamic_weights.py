"""CMKD's weights over training, and how difficulty is spread over the training images."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from repro.analysis.plots import weights_over_epochs
from repro.analysis.save import file_name, save_figure
from repro.results import GridResults
from repro.spec import key

TERMS = ("pearson", "spearman")


def write(results: GridResults, out: Path) -> list[Path]:
    """For every pair with a finished ``cmkd`` run: mean weights by epoch, and d's histogram."""
    written = []
    for pair in results.pairs:
        weights, difficulty = measured(results, pair)
        if not len(weights):
            continue
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        left, right = figure.subplots(1, 2)
        milestones = results.profile.optim(pair.partition(":")[2]).milestones
        weights_over_epochs(left, weights, milestones)
        left.set_ylim(0, 1)
        for epoch, rows in difficulty.groupby("epoch"):
            mean = rows.groupby("bin")["share"].mean()
            right.step((mean.index + 0.5) / len(mean), mean, where="mid", label=f"epoch {epoch}")
        right.set_xlabel("difficulty d of a training image")
        right.set_ylabel("share of images a bin")
        right.set_ylim(bottom=0)
        right.legend(fontsize=8)
        figure.suptitle(f"{pair}: CMKD's dynamic weights and difficulty, all trials")
        data = pd.concat([weights, difficulty])
        stem = out / f"dynamic-weights-{file_name(pair)}"
        written += save_figure(figure, data, stem, results.marks)
    return written


def measured(results: GridResults, pair: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Long: (key, term, epoch, weight), and (key, epoch, bin, share) where histograms exist."""
    weights, difficulty = [], []
    for run in results.students(pair):
        if run.method != "cmkd":
            continue
        for entry in results.record(run).history():
            base = {"key": key(run), "epoch": entry["epoch"]}
            for term in TERMS:
                weight = entry["metrics"][f"weight/{term}"]
                weights.append(base | {"term": term, "weight": weight})
            counts = np.array(entry.get("histograms", {}).get("difficulty", ()))
            for i, share in enumerate(counts / max(counts.sum(), 1)):
                difficulty.append(base | {"bin": i, "share": share})
    return pd.DataFrame(weights), pd.DataFrame(difficulty, columns=["key", "epoch", "bin", "share"])
