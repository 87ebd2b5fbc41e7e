"""What the panels draw is what they are given."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from repro.analysis.colours import colour_of
from repro.analysis.panels import (
    difference_bars,
    embedding_points,
    forest_panel,
    interval_points,
    landscape_contours,
    loss_range,
    rank_curves,
    trial_curves,
)
from repro.analysis.statistics import t_interval
from repro.analysis.style import legend_below


@pytest.fixture
def ax():
    return Figure().subplots()


def curves(methods: tuple[str, ...] = ("kd", "cmkd"), trials: int = 2) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"key": f"{m}{t}", "method": m, "trial": t, "severity": s, "top1": 90 - 5 * s + t}
            for m in methods
            for t in range(trials)
            for s in range(3)
        ]
    )


def test_trials_are_thin_and_their_mean_is_thick_in_the_method_s_colour(ax):
    trial_curves(ax, curves(), "severity", "top1", {"kd": "KD: 85"})
    kd, cmkd = ax.lines
    assert kd.get_ydata().tolist() == [90.5, 85.5, 80.5]
    assert kd.get_color() == colour_of("kd")
    assert cmkd.get_color() == colour_of("cmkd")
    thin = ax.collections[0].get_segments()
    assert [line[:, 1].tolist() for line in thin] == [[90, 85, 80], [91, 86, 81]]
    assert [line.get_label() for line in ax.lines] == ["KD: 85", "cmkd"]


def ranks(trials: int) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"key": str(t), "method": "kd", "bin": b, "difficulty": (b + 0.5) / 5}
            | {"spearman": 0.9 - 0.1 * (b / 5) ** 2 + 0.01 * t}
            for t in range(trials)
            for b in (-1, *range(5))
        ]
    )


@pytest.mark.parametrize(("trials", "bands"), [(1, 0), (2, 0), (3, 1)])
def test_a_band_needs_three_trials(ax, trials, bands):
    rank_curves(ax, ranks(trials), "spearman", {})
    assert len(ax.collections) == bands
    points, line = ax.lines
    assert len(points.get_xdata()) == 5  # without bin -1
    assert len(line.get_xdata()) == 101
    assert ax.get_ylim()[1] < 1


def test_what_is_undefined_is_not_fitted(ax):
    rank_curves(ax, ranks(2).assign(spearman=np.nan), "spearman", {})
    assert len(ax.lines) == 1


def test_points_stand_at_the_mean_with_the_t_interval(ax):
    values = pd.DataFrame({"method": ["kd"] * 3 + ["teacher"], "top1": [70.0, 71, 73, 80]})
    interval_points(ax, values, "top1")
    kd, teacher = ax.containers
    mean, low, high = t_interval([70.0, 71, 73])
    assert kd[0].get_ydata().tolist() == pytest.approx([mean])
    assert kd[2][0].get_segments()[0][:, 1].tolist() == pytest.approx([low, high])
    assert teacher[0].get_ydata().tolist() == [80]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["kd", "teacher"]


def test_bars_are_differences_and_one_trial_has_no_line(ax):
    table = pd.DataFrame(
        {
            "method": ["cmkd/reversed", "kd"],
            "difference": [0.4, -1.2],
            "low": [0.1, np.nan],
            "high": [0.7, np.nan],
            "label": ["71.4 % (n=3)", "69.8 % (n=1)"],
        }
    )
    difference_bars(ax, table)
    assert [bar.get_width() for bar in ax.patches] == [0.4, -1.2]
    lines = [list(line.get_xdata()) for line in ax.lines if line.get_color() == "black"]
    assert lines == [[0.1, 0.7]]
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == ["cmkd/reversed  71.4 % (n=3)", "kd  69.8 % (n=1)"]


def losses(factor: float) -> pd.DataFrame:
    grid = [(a, b) for a in (-1.0, 0, 1) for b in (-1.0, 0, 1)]
    return pd.DataFrame(
        [{"alpha": a, "beta": b, "loss": factor * (0.1 + a * a + 2 * b * b)} for a, b in grid]
    )


def test_landscapes_share_one_range_of_losses(ax):
    limits = loss_range([losses(1), losses(2)])
    assert limits == pytest.approx((0.1, 6.2))
    shown = landscape_contours(ax, losses(1), limits)
    assert (shown.norm.vmin, shown.norm.vmax) == limits


def test_a_range_can_be_drawn_on_a_log_scale_whatever_the_losses():
    low, high = loss_range([losses(0)])
    assert 0 < low < high


def test_each_class_has_its_points_its_colour_and_its_name(ax):
    places, labels = np.arange(8.0).reshape(4, 2), np.array([2, 7, 2, 7])
    embedding_points(ax, places, labels, {2: "bear", 7: "bus"})
    bear, bus = ax.collections
    assert bear.get_offsets().tolist() == [[0, 1], [4, 5]]
    assert bus.get_label() == "bus"
    assert bear.get_facecolor().tolist() != bus.get_facecolor().tolist()
    legend_below(ax.figure, ax)
    (legend,) = ax.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["bear", "bus"]


def test_a_forest_has_pairs_as_squares_means_as_diamonds_and_the_trials_at_the_edge(ax):
    table = pd.DataFrame(
        {
            **{"pair": ["t:s", "t:u", "mean"], "rule": ["F1", "F1", "F2"]},
            **{"difference": [0.5, 0.1, 0.3], "low95": [0.2, np.nan, 0.1]},
            **{"high95": [0.8, np.nan, 0.5], "paired_trials": [5, 1, 1]},
        }
    )
    forest_panel(ax, table, ["t:s", "t:u", "mean"], 0.2)
    points = {line.get_ydata()[0]: line for line in ax.lines if line.get_linestyle() == "None"}
    assert [points[-i].get_xdata()[0] for i in range(3)] == [0.5, 0.1, 0.3]
    assert [points[-i].get_marker() for i in range(3)] == ["s", "s", "D"]
    spans = [list(line.get_xdata()) for line in ax.lines if line.get_linewidth() == 1.2]
    assert spans == [[0.2, 0.8], [0.1, 0.5]]
    upright = [line.get_xdata()[0] for line in ax.lines if line.get_linewidth() == 0.8]
    assert upright == [0, 0.2]
    assert [text.get_text().strip() for text in ax.texts] == ["5", "1", "1"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["t:s", "t:u", "mean"]


def test_two_trials_have_points_and_no_interval(ax):
    interval_points(ax, pd.DataFrame({"method": ["kd"] * 2, "top1": [70.0, 71]}), "top1")
    (kd,) = ax.containers
    assert kd[0].get_ydata().tolist() == [70.5]
    assert not kd[2]
