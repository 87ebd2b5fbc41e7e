"""Decision regions on planes through three test images (Somepalli et al., CVPR 2022)."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import nn

from repro.analysis.boundary import NUMBERS, plane_numbers, plane_summary
from repro.analysis.maps import decision_regions, region_classes
from repro.analysis.planes import evaluate_planes, make_plane, random_triplets
from repro.analysis.plots import boundary_numbers
from repro.analysis.save import file_name, save_figure
from repro.files import make_directory, write_atomically
from repro.results import GridResults
from repro.spec import Run, key

SEED = 0  # of the triplets: the same for every network, pair and grid
PICTURES = 2  # triplets that are drawn
VERSION = 1  # of the stored numbers; raise it when their meaning changes


def write(results: GridResults, out: Path) -> list[Path]:
    """Pictures and numbers of the teacher and each method's first trial, pair by pair."""
    written = []
    for pair in results.pairs:
        runs = compared(results, pair)
        if "teacher" not in runs:
            continue
        networks = {name: results.network(run) for name, run in runs.items()}
        written += pictures(results, pair, networks, out)
        written += numbers(results, pair, networks, out)
    return written


def compared(results: GridResults, pair: str) -> dict[str, Run]:
    """The teacher, then one run a method; the ablation's variants stay out of the pictures."""
    runs = {}
    teacher = results.teacher(pair)
    if teacher:
        runs["teacher"] = teacher
    for run in results.students(pair):
        if "/" not in run.method:
            runs.setdefault(run.method, run)
    return runs


def pictures(
    results: GridResults, pair: str, networks: dict[str, nn.Module], out: Path
) -> list[Path]:
    triplets = random_triplets(results.test_labels, PICTURES, SEED)
    planes = [make_plane(*results.test_images(triplet.tolist())) for triplet in triplets]
    grids = evaluate_planes(networks, planes, resolution=results.profile.picture)
    size = (2.7 * len(networks) + 1.4, 2.9 * PICTURES + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(PICTURES, len(networks), squeeze=False)
    rows = []
    for i, (triplet, plane) in enumerate(zip(triplets, planes, strict=True)):
        labels = results.test_labels[triplet].tolist()
        classes = region_classes([grid[i] for grid in grids.values()], labels)
        for ax, (name, grid) in zip(axes[i], grids.items(), strict=True):
            names = results.dataset.class_names
            decision_regions(ax, grid[i], plane, labels, names, classes=classes)
            ax.set_title(f"{name}, plane {i}", fontsize=9)
            if ax is not axes[i][-1]:
                ax.get_legend().remove()
            rows.append(region_rows(name, i, grid[i]))
    figure.suptitle(f"{pair}: decision regions, trial 0; the same planes for every network")
    stem = out / f"decision-regions-{file_name(pair)}"
    return save_figure(figure, pd.concat(rows), stem, results.marks)


def region_rows(name: str, plane: int, probabilities: np.ndarray) -> pd.DataFrame:
    """What a panel shows: predicted class and its probability at every point."""
    resolution = len(probabilities)
    row, column = np.divmod(np.arange(resolution**2), resolution)
    flat = probabilities.reshape(resolution**2, -1)
    shown = {"row": row, "column": column, "predicted": flat.argmax(axis=1)}
    frame = pd.DataFrame(shown | {"probability": flat.max(axis=1).round(4)})
    return frame.assign(network=name, plane=plane)


def numbers(
    results: GridResults, pair: str, networks: dict[str, nn.Module], out: Path
) -> list[Path]:
    """Fragmentation, ambiguity, agreement and margin over the profile's triplets."""
    summary = plane_summary(stored_numbers(results, pair, networks), SEED)
    figure = Figure(figsize=(3.2 * len(NUMBERS), 4.2), layout="constrained")
    for ax, number in zip(figure.subplots(1, len(NUMBERS)), NUMBERS, strict=True):
        boundary_numbers(ax, summary, number)
    planes = results.profile.triplets
    figure.suptitle(f"{pair}: {planes} planes, trial 0 (n=1 a method); 95 % interval over planes")
    stem = out / f"decision-numbers-{file_name(pair)}"
    return save_figure(figure, summary, stem, results.marks)


def stored_numbers(results: GridResults, pair: str, networks: dict[str, nn.Module]) -> pd.DataFrame:
    """``plane_numbers``, kept under the runs directory: the networks' keys name the file."""
    profile = results.profile
    keys = [key(run) for run in compared(results, pair).values()]
    what = f"{VERSION} {profile.triplets} {profile.resolution} {SEED} {' '.join(keys)}"
    name = f"planes-{hashlib.sha256(what.encode()).hexdigest()[:16]}.csv"
    path = make_directory(results.runs_dir / "derived") / name
    if not path.exists():
        triplets = random_triplets(results.test_labels, profile.triplets, SEED)
        used = np.unique(triplets)
        frame = plane_numbers(
            networks,
            results.test_images(used.tolist()),
            np.searchsorted(used, triplets),
            resolution=profile.resolution,
        )
        write_atomically(path, frame.to_csv(index=False))
    return pd.read_csv(path)
