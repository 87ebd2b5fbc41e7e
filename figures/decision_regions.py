"""Decision regions on planes through three test images (Somepalli et al., CVPR 2022)."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from torch import nn

from repro.analysis.boundary import NUMBERS, plane_summary
from repro.analysis.maps import decision_regions, region_classes
from repro.analysis.measured import SEED, planes_of
from repro.analysis.planes import (
    evaluate_planes,
    make_plane,
    random_triplets,
    region_rows,
    sampling_step,
)
from repro.analysis.plots import boundary_numbers
from repro.analysis.save import file_name, save_figure
from repro.analysis.shown import all_trials, compared, headed, titled
from repro.results import GridResults
from repro.spec import Run

PICTURES = 2  # triplets that are drawn
CSV_SIDE = 150  # points a side of a picture in its CSV, at most


def write(results: GridResults, out: Path) -> list[Path]:
    """Pair by pair: pictures of the teacher and one trial a method, numbers of every trial."""
    written = []
    for pair in results.pairs:
        runs = compared(results, pair)
        if "teacher" in runs:
            networks = {name: results.folded(run) for name, run in runs.items()}
            written += pictures(
                results, runs, networks, out / f"decision-regions-{file_name(pair)}"
            )
            written += numbers(results, runs, out / f"decision-numbers-{file_name(pair)}")
    return written


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


def numbers(results: GridResults, runs: dict[str, Run], stem: Path) -> list[Path]:
    """Fragmentation, ambiguity, agreement and margin over the profile's triplets, all trials."""
    pair = list(runs.values())[-1].pair
    measured = planes_of(results, all_trials(results, pair, runs))
    by_plane = measured.groupby(["method", "triplet"], sort=False)[[*NUMBERS, "censored"]].mean()
    summary = plane_summary(by_plane.reset_index().rename(columns={"method": "name"}), SEED)
    counts = measured.groupby("method")["key"].nunique()
    summary["trials"] = summary["name"].map(counts)
    figure = Figure(figsize=(3.2 * len(NUMBERS), 4.4), layout="constrained")
    for ax, number in zip(figure.subplots(1, len(NUMBERS)), NUMBERS, strict=True):
        boundary_numbers(ax, summary, number)
        means = measured.groupby(["method", "trial"], sort=False)[number].mean().reset_index()
        places = means["method"].map(list(runs).index)
        ax.plot(places - 0.2, means[number], ".", color="black", alpha=0.5, markersize=4)
    trials = ", ".join(f"{name} {counts[name]}" for name in runs)
    words = f"mean over {measured['triplet'].nunique()} planes and all trials (n: {trials})"
    spread = "dots: trials; intervals: bootstrap over planes, 95 %, of these networks alone"
    figure.suptitle(f"{headed(results, runs, words)}\n{spread}", fontsize=10)
    return save_figure(figure, summary, stem, results.marks)
