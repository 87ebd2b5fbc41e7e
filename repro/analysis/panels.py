"""What was measured of networks (``repro.analysis.measured``), drawn on given ``Axes``."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm
from numpy.typing import NDArray

from repro.analysis.colours import colour_of
from repro.analysis.palette import OTHER_COLOUR, REGION_COLOURS, marker_of
from repro.analysis.plots import BAND_TRIALS
from repro.analysis.ranks import fitted_band
from repro.analysis.statistics import t_interval

EFFECT_COLOUR = "#D55E00"  # of the smallest effect of interest
CLASS_COLOURS = (*REGION_COLOURS, "#000000", "#882255", "#8C8C8C")
CLASS_MARKERS = "osD^vP*X<>"
CONTOURS = 12  # levels of a landscape, evenly spaced in log loss


def trial_curves(ax: Axes, rows: pd.DataFrame, x: str, y: str, labels: Mapping[str, str]) -> Axes:
    """A trial a thin line, the mean over a method's trials thick.

    ``rows``: of one pair, with key, method and the columns ``x`` and ``y``. ``labels``: by method,
    as the legend names it.
    """
    for name, runs in rows.groupby("method", sort=False):
        method = str(name)
        wide = runs.pivot(index=x, columns="key", values=y).sort_index()
        places = wide.index.to_numpy(float)
        lines = [np.column_stack([places, values]) for values in wide.to_numpy(float).T]
        colour = colour_of(method)
        ax.add_collection(LineCollection(lines, colors=colour, linewidths=0.5, alpha=0.4))
        mean = wide.mean(axis=1).to_numpy()
        (line,) = ax.plot(places, mean, color=colour, label=labels.get(method, method))
        line.set(linewidth=1.6, marker=marker_of(method), markersize=3)
    ax.grid(alpha=0.25)
    return ax


def rank_curves(ax: Axes, rows: pd.DataFrame, column: str, labels: Mapping[str, str]) -> Axes:
    """Rank agreement against difficulty: a method's bins as points, a parabola fitted to them.

    ``rows``: of one pair, as from ``measured.ranks_of``. The band is the 95 % interval of the fit
    over trials, from ``BAND_TRIALS`` on: of two it would fill the panel.
    """
    bins = rows[rows["bin"] >= 0]
    at = np.linspace(0, 1, 101)
    for name, runs in bins.groupby("method", sort=False):
        method, colour = str(name), colour_of(str(name))
        mean = runs.groupby("difficulty")[column].mean()
        ax.plot(mean.index, mean, color=colour, marker=marker_of(method), markersize=4, ls="")
        known = runs.dropna(subset=[column])
        trials = [
            (one["difficulty"].to_numpy(float), one[column].to_numpy(float))
            for _, one in known.groupby("key")
            if len(one) > 2
        ]
        if trials:
            line, half = fitted_band(trials, at)
            ax.plot(at, line, color=colour, linewidth=1.6, label=labels.get(method, method))
        if len(trials) >= BAND_TRIALS:
            ax.fill_between(at, line - half, line + half, color=colour, alpha=0.12, linewidth=0)
    _fit_to(ax, bins[column])
    ax.set_xlabel("share of images that are easier\n(by the teacher's entropy)")
    ax.grid(alpha=0.25)
    return ax


def _fit_to(ax: Axes, values: pd.Series) -> None:
    low, high = values.min(), values.max()
    if np.isfinite([low, high]).all():
        room = 0.1 * (high - low) + 0.01
        ax.set_ylim(low - room, high + room)


def interval_points(ax: Axes, values: pd.DataFrame, column: str) -> Axes:
    """A method a point: the mean over trials, and the trials as dots; from ``BAND_TRIALS`` on the
    95 % t interval.

    ``values``: a row a trial, with method and ``column``.
    """
    methods = list(dict.fromkeys(values["method"]))
    for place, method in enumerate(methods):
        trials = values.loc[values["method"] == method, column].to_numpy(float)
        mean, low, high = t_interval(trials)
        colour = colour_of(method)
        ax.plot([place] * len(trials), trials, ".", color=colour, alpha=0.5, markersize=4)
        known = len(trials) >= BAND_TRIALS and not np.isnan(low)
        spread = [[mean - low], [high - mean]] if known else None
        ax.errorbar([place], [mean], spread, color=colour, fmt=marker_of(method))
    ax.set_xticks(range(len(methods)), methods, rotation=45, ha="right")
    ax.grid(axis="y", alpha=0.25)
    return ax


def difference_bars(ax: Axes, table: pd.DataFrame) -> Axes:
    """A row a bar from zero with its interval and, beside it, the row's own accuracy.

    ``table``: method, difference, low, high (points of top-1; NaN: no interval), label.
    """
    places = np.arange(len(table))[::-1]
    for place, row in zip(places, table.to_dict("records"), strict=True):
        colour = colour_of(row["method"])
        ax.barh(place, row["difference"], color=colour, height=0.7)
        if np.isfinite([row["low"], row["high"]]).all():
            ax.plot([row["low"], row["high"]], [place] * 2, color="black", linewidth=1.0)
    ax.axvline(0, color=OTHER_COLOUR, linewidth=1.0)
    names = [f"{m}  {label}" for m, label in zip(table["method"], table["label"], strict=True)]
    ax.set_yticks(places, names)
    ax.margins(y=0.01)
    ax.grid(axis="x", alpha=0.25)
    return ax


def forest_panel(ax: Axes, table: pd.DataFrame, rows: Sequence[str], effect: float) -> Axes:
    """A comparison's differences, a row a pair, from the top; rules over pairs as diamonds.

    ``table``: of one comparison, as from ``forest.forest_table``; ``rows``: the names of all rows,
    shared by panels side by side. Zero and ``effect`` are marked; at the right edge the trials.
    """
    for row in table.to_dict("records"):
        place, single = -rows.index(row["pair"]), row["rule"] == "F1"
        colour = OTHER_COLOUR if single else "black"
        if np.isfinite([row["low95"], row["high95"]]).all():
            ax.plot([row["low95"], row["high95"]], [place] * 2, color=colour, linewidth=1.2)
        (point,) = ax.plot(row["difference"], place, color="black", linestyle="")
        point.set(marker="s" if single else "D", markersize=3.5 if single else 5)
        where = (1.0, place)
        n = ax.annotate(f"{row['paired_trials']} ", where, xycoords=("axes fraction", "data"))
        n.set(ha="right", va="bottom", fontsize=6, color=OTHER_COLOUR)
    ax.axvline(0, color=OTHER_COLOUR, linewidth=0.8)
    ax.axvline(effect, color=EFFECT_COLOUR, linewidth=0.8, linestyle="--")
    ax.set_yticks([-i for i in range(len(rows))], rows)
    ax.set_ylim(-len(rows) + 0.4, 0.7)
    ax.grid(axis="x", alpha=0.25)
    return ax


def loss_range(landscapes: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """The smallest and largest loss of panels that share a colour scale; above 0 for its log."""
    losses = np.concatenate([rows["loss"].to_numpy(float) for rows in landscapes])
    low = max(float(np.nanmin(losses)), 1e-4)
    return low, max(float(np.nanmax(losses)), 2 * low)


def landscape_contours(ax: Axes, rows: pd.DataFrame, limits: tuple[float, float]) -> ScalarMappable:
    """Log-spaced contours of the loss, the network in the middle; returns what a colour bar needs.

    ``rows``: as from ``landscape.landscape``; ``limits``: one ``loss_range`` for all panels.
    """
    grid = rows.pivot(index="beta", columns="alpha", values="loss")
    alpha, beta = grid.columns.to_numpy(float), grid.index.to_numpy(float)
    values = np.clip(grid.to_numpy(float), *limits)
    levels, norm = np.geomspace(*limits, CONTOURS), LogNorm(*limits)
    ax.contourf(alpha, beta, values, levels=levels, norm=norm, cmap="viridis")
    ax.contour(alpha, beta, values, levels=levels, norm=norm, colors="white", linewidths=0.4)
    ax.plot(0, 0, "+", color="white", markersize=7)
    ax.set_xlabel("α (filter norms)")
    ax.set_ylabel("β (filter norms)")
    ax.set_aspect("equal")
    return ScalarMappable(norm=norm, cmap="viridis")


def embedding_points(
    ax: Axes, places: NDArray[np.float64], labels: NDArray[np.int64], names: Mapping[int, str]
) -> Axes:
    """Points [N, 2] by class, each with a colour and a marker; ``names``: at most ten classes."""
    for i, (label, name) in enumerate(names.items()):
        own = places[labels == label]
        colour, marker = CLASS_COLOURS[i], CLASS_MARKERS[i]
        ax.scatter(own[:, 0], own[:, 1], s=9, linewidths=0, label=name, color=colour, marker=marker)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.set_xlabel("t-SNE 1 (no unit)")
    ax.set_ylabel("t-SNE 2 (no unit)")
    return ax
