"""Decision regions on planes through three test images (Somepalli et al., CVPR 2022)."""

from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import nn

from repro.analysis.boundary import NUMBERS, plane_numbers, plane_summary
from repro.analysis.maps import decision_regions, region_classes
from repro.analysis.planes import (
    evaluate_planes,
    make_plane,
    random_triplets,
    region_rows,
    sampling_step,
)
from repro.analysis.plots import boundary_numbers
from repro.analysis.save import file_name, save_figure, stored_frame, trials_shown
from repro.results import GridResults
from repro.spec import Run, key

SEED = 0  # of the triplets: the same for every network, pair and grid
PICTURES = 2  # triplets that are drawn
MOST_METHODS = 6  # shown: of each a network is asked about every point of every plane
CSV_SIDE = 150  # points a side of a picture in its CSV, at most
VERSION = 2  # of the stored numbers; raise it when their meaning changes


def write(results: GridResults, out: Path) -> list[Path]:
    """Pictures and numbers of the teacher and one trial a method, pair by pair."""
    written = []
    for pair in results.pairs:
        runs = compared(results, pair)
        if "teacher" in runs:
            networks = {name: results.network(run) for name, run in runs.items()}
            written += pictures(
                results, runs, networks, out / f"decision-regions-{file_name(pair)}"
            )
            written += numbers(results, runs, networks, out / f"decision-numbers-{file_name(pair)}")
    return written


def compared(results: GridResults, pair: str) -> dict[str, Run]:
    """The teacher, then one run a method, the first ``MOST_METHODS`` in the grid's order."""
    teacher = results.teacher(pair)
    first = {"teacher": teacher} if teacher else {}
    return first | dict(islice(methods_of(results, pair).items(), MOST_METHODS))


def methods_of(results: GridResults, pair: str) -> dict[str, Run]:
    """One run a method; the ablation's variants stay out of the pictures."""
    students = results.first_trials(pair)
    return {method: run for method, run in students.items() if "/" not in method}


def titled(results: GridResults, runs: dict[str, Run], words: str) -> str:
    """The pair, what is shown, of which trial, and how many methods are not shown."""
    pair = list(runs.values())[-1].pair
    students, methods = len(runs) - ("teacher" in runs), len(methods_of(results, pair))
    some = f"; {students} of {methods} methods" if students < methods else ""
    shown = trials_shown({name: run.trial for name, run in runs.items()})
    return f"{pair}: {words}{some}\n{shown}"


def pictures(
    results: GridResults, runs: dict[str, Run], networks: dict[str, nn.Module], stem: Path
) -> list[Path]:
    """A row a plane, a column a network; the CSV holds the points, thinned out if they are many."""
    resolution, names = results.profile.picture, results.dataset.class_names
    triplets = random_triplets(results.test_labels, PICTURES, SEED)
    images = (results.test_images(triplet.tolist()).to(results.device) for triplet in triplets)
    planes = [make_plane(*three) for three in images]
    grids = evaluate_planes(networks, planes, resolution=resolution)
    step = sampling_step(resolution, CSV_SIDE)
    size = (2.7 * len(networks) + 1.4, 2.9 * PICTURES + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    rows = []
    for i, axes in enumerate(figure.subplots(PICTURES, len(networks), squeeze=False)):
        labels = results.test_labels[triplets[i]].tolist()
        classes = region_classes([grid[i] for grid in grids.values()], labels)
        for ax, (name, grid) in zip(axes, grids.items(), strict=True):
            decision_regions(ax, grid[i], planes[i], labels, names, classes=classes)
            ax.set_title(f"{name}, plane {i}", fontsize=9)
            if ax is not axes[-1]:
                ax.get_legend().remove()
            points = region_rows(grid[i], planes[i], step=step)
            rows.append(points.assign(network=name, plane=i))
    words = "decision regions, the same planes for every network"
    figure.suptitle(titled(results, runs, words), fontsize=10)
    thinned = f"one point in {step} along each side of the picture's {resolution} x {resolution}"
    notes = (thinned,) if step > 1 else ()
    return save_figure(figure, pd.concat(rows), stem, results.marks, csv_notes=notes)


def numbers(
    results: GridResults, runs: dict[str, Run], networks: dict[str, nn.Module], stem: Path
) -> list[Path]:
    """Fragmentation, ambiguity, agreement and margin over the profile's triplets."""
    profile = results.profile
    keys = [key(run) for run in runs.values()]
    measured = stored_frame(
        results.runs_dir / "derived",
        "planes",
        (VERSION, profile.triplets, profile.resolution, SEED, *runs, *keys),
        lambda: measure(results, networks),
    )
    summary = plane_summary(measured, SEED)
    figure = Figure(figsize=(3.2 * len(NUMBERS), 4.2), layout="constrained")
    for ax, number in zip(figure.subplots(1, len(NUMBERS)), NUMBERS, strict=True):
        boundary_numbers(ax, summary, number)
    planes = measured["triplet"].nunique()
    words = f"mean over {planes} planes and its 95 % bootstrap interval, one network (n=1) a method"
    figure.suptitle(titled(results, runs, words), fontsize=10)
    return save_figure(figure, summary, stem, results.marks)


def measure(results: GridResults, networks: dict[str, nn.Module]) -> pd.DataFrame:
    profile = results.profile
    triplets = random_triplets(results.test_labels, profile.triplets, SEED)
    used, positions = np.unique(triplets, return_inverse=True)
    images = results.test_images(used.tolist()).to(results.device)
    positions = positions.reshape(triplets.shape)
    return plane_numbers(networks, images, positions, resolution=profile.resolution)
