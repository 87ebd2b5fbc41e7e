"""Decision regions on planes through three test images (Somepalli et al., CVPR 2022)."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from repro.analysis.boundary import NUMBERS, plane_summary
from repro.analysis.maps import decision_regions
from repro.analysis.measured import PICTURES, planes_of, regions_of
from repro.analysis.measuring import SEED
from repro.analysis.plots import boundary_numbers
from repro.analysis.regions import pictures_in, region_classes, region_rows, sampling_step
from repro.analysis.save import file_name, save_figure
from repro.analysis.shown import all_trials, compared, headed, titled
from repro.results import GridResults
from repro.spec import Run

CSV_SIDE = 150  # points a side of a picture in its CSV, at most


def write(results: GridResults, out: Path) -> list[Path]:
    """Pair by pair: pictures of the teacher and one trial a method, numbers of every trial."""
    written = []
    for pair in results.pairs:
        runs = compared(results, pair)
        if "teacher" in runs:
            written += drawn(results, runs, out / f"decision-regions-{file_name(pair)}")
            written += numbers(results, runs, out / f"decision-numbers-{file_name(pair)}")
    return written


def drawn(results: GridResults, runs: dict[str, Run], stem: Path) -> list[Path]:
    """A row a plane, a column a network; the CSV holds the points, thinned out if they are many."""
    rows = regions_of(results, list(runs.values()))
    pictures = {name: pictures_in(rows[rows["method"] == name]) for name in runs}
    step = sampling_step(results.profile.picture, CSV_SIDE)
    size = (2.7 * len(runs) + 1.4, 2.9 * PICTURES + 0.8)
    figure = Figure(figsize=size, layout="constrained")
    points = []
    for i, axes in enumerate(figure.subplots(PICTURES, len(runs), squeeze=False)):
        classes = region_classes([planes[i] for planes in pictures.values()])
        for ax, (name, planes) in zip(axes, pictures.items(), strict=True):
            decision_regions(ax, planes[i], results.class_names, classes=classes)
            ax.set_title(f"{name}, plane {i}", fontsize=9)
            if ax is not axes[-1]:
                ax.get_legend().remove()
            points.append(region_rows(planes[i], step=step).assign(network=name, plane=i))
    words = "decision regions, the same planes for every network"
    figure.suptitle(titled(results, runs, words), fontsize=10)
    side = results.profile.picture
    thinned = f"one point in {step} along each side of the picture's {side} x {side}"
    notes = (thinned,) if step > 1 else ()
    return save_figure(figure, pd.concat(points), stem, results.marks, csv_notes=notes)


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
