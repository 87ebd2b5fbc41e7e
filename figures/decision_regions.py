"""Decision regions on planes through three test images (Somepalli et al., CVPR 2022)."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import SubFigure

from repro.analysis.boundary import NUMBERS, plane_summary
from repro.analysis.colours import colour_of
from repro.analysis.maps import decision_regions, region_legend
from repro.analysis.measured import PICTURES, planes_of, regions_of
from repro.analysis.measuring import SEED
from repro.analysis.plots import boundary_numbers
from repro.analysis.regions import (
    Picture,
    pictures_in,
    region_classes,
    region_rows,
    sampling_step,
)
from repro.analysis.save import file_name, save_figure
from repro.analysis.shown import all_trials, compared, headed, titled
from repro.analysis.style import page_figure, panel_grid
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
    figure = page_figure(0.6 + 1.95 * PICTURES)
    points = []
    for i, rows_of_panels in enumerate(figure.subfigures(PICTURES, 1, squeeze=False)[:, 0]):
        plane_row(
            rows_of_panels, i, {name: planes[i] for name, planes in pictures.items()}, results
        )
        for name, planes in pictures.items():
            points.append(region_rows(planes[i], step=step).assign(network=name, plane=i))
    words = "decision regions, the same planes for every network; stronger: surer"
    figure.suptitle(titled(results, runs, words))
    side = results.profile.picture
    thinned = f"one point in {step} along each side of the picture's {side} x {side}"
    notes = (thinned,) if step > 1 else ()
    return save_figure(figure, pd.concat(points), stem, results.marks, csv_notes=notes)


def plane_row(
    figure: SubFigure, number: int, pictures: dict[str, Picture], results: GridResults
) -> None:
    """One plane, a panel a network, with the legend of its classes below."""
    classes = region_classes(list(pictures.values()))
    axes = figure.subplots(1, len(pictures), squeeze=False, sharex=True, sharey=True)[0]
    for ax, (name, picture) in zip(axes, pictures.items(), strict=True):
        decision_regions(ax, picture, results.class_names, classes=classes)
        ax.set_title(name, color=colour_of(name))
        if ax is not axes[0]:
            ax.set_ylabel("")
            ax.set_xlabel("")
    axes[0].set_ylabel(f"plane {number}\n{axes[0].get_ylabel()}")
    handles, labels = region_legend(classes, results.class_names)
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(labels),
        fontsize=7,
        handlelength=1,
        columnspacing=1,
    )


def numbers(results: GridResults, runs: dict[str, Run], stem: Path) -> list[Path]:
    """Fragmentation, ambiguity, agreement and margin over the profile's triplets, all trials."""
    pair = list(runs.values())[-1].pair
    measured = planes_of(results, all_trials(results, pair, runs))
    by_plane = measured.groupby(["method", "triplet"], sort=False)[[*NUMBERS, "censored"]].mean()
    summary = plane_summary(by_plane.reset_index().rename(columns={"method": "name"}), SEED)
    counts = measured.groupby("method")["key"].nunique()
    summary["trials"] = summary["name"].map(counts)
    figure = page_figure(5.8)
    for ax, number in zip(panel_grid(figure, len(NUMBERS), 2), NUMBERS, strict=True):
        boundary_numbers(ax, summary, number)
        means = measured.groupby(["method", "trial"], sort=False)[number].mean().reset_index()
        places = means["method"].map(list(runs).index)
        ax.plot(places - 0.2, means[number], ".", color="black", alpha=0.5, markersize=3)
    trials = ", ".join(f"{name} {counts[name]}" for name in runs)
    words = f"means over {measured['triplet'].nunique()} planes and all trials\nn: {trials}"
    spread = "dots: trials; intervals: bootstrap over planes, 95 %, of these networks alone"
    figure.suptitle(f"{headed(results, runs, words)}\n{spread}")
    return save_figure(figure, summary, stem, results.marks)
