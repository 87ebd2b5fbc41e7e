import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from repro.analysis import colours, maps, palette, plots
from repro.analysis.regions import picture_of
from repro.errors import UserError


@pytest.fixture
def ax() -> Axes:
    return Figure().subplots()


@pytest.fixture
def histories() -> pd.DataFrame:
    rows = [
        {"key": f"{m}{t}", "pair": "a:b", "method": m, "trial": t, "epoch": e}
        | {"test_top1": 10 * e + t + 5 * (m == "kd"), "test_loss": 1.0, "train_loss": 1.0}
        for m in ("ce", "kd")
        for t in range(3)
        for e in range(4)
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def probabilities():
    logits = np.random.default_rng(0).normal(size=(20, 20, 12))
    return (np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)).astype(np.float32)


def test_method_colours_are_distinct_and_differ_from_the_spare_ones():
    listed = [c.lower() for c in (*colours.METHOD_COLOURS.values(), *colours.SPARE_COLOURS)]
    assert len(set(listed)) == len(listed)


def test_colours_are_stable():
    assert colours.colour_of("cmkd") == "#d55e00"
    assert colours.colour_of("not listed") == colours.colour_of("not listed")
    assert colours.colour_of("not listed") in {c.lower() for c in colours.SPARE_COLOURS}


def test_a_variant_is_a_tint_of_its_method():
    red, green, blue = to_rgb(colours.colour_of("cmkd/pearson only"))
    assert red > green > blue
    assert colours.colour_of("cmkd/pearson only") != colours.colour_of("cmkd/spearman only")


def test_neighbouring_colours_have_different_markers():
    pairs = [(colours.colour_of(m), palette.marker_of(m)) for m in colours.METHOD_COLOURS]
    assert len(set(pairs)) == len(pairs)
    assert len({palette.marker_of(m) for m in list(colours.METHOD_COLOURS)[:9]}) == 9


def test_the_profile_is_marked_on_the_figure_itself():
    figure = Figure()
    palette.mark_profile(figure, "profile: quick, not the paper's protocol")
    assert [text.get_gid() for text in figure.texts] == [palette.MARK_ID]
    assert "quick" in figure.texts[0].get_text()
    palette.mark_profile(figure, "")
    assert len(figure.texts) == 1


def test_training_curves_show_all_trials_their_mean_and_the_drops(ax, histories):
    assert plots.training_curves(ax, histories, [1, 3]) is ax
    thick = [line for line in ax.lines if line.get_linewidth() == 2.0]
    assert len(ax.lines) == 2 + 2  # means and drops
    thin = [collection.get_segments() for collection in ax.collections]  # one artist a method
    assert [len(segments) for segments in thin] == [3, 3]
    assert thin[0][2].tolist() == [[0, 2], [1, 12], [2, 22], [3, 32]]
    assert ax.get_ylim()[1] >= 37
    assert thick[0].get_label() == "ce (n=3)"
    assert thick[0].get_ydata() == pytest.approx([1, 11, 21, 31])
    assert thick[1].get_color() == colours.colour_of("kd")
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "test top-1 (%)")


def test_the_mean_curve_ends_with_the_shortest_run(ax, histories):
    cut = histories[~((histories["key"] == "kd0") & (histories["epoch"] == 3))]
    plots.training_curves(ax, cut)
    mean = next(line for line in ax.lines if line.get_label() == "kd (n=3)")
    assert np.isnan(mean.get_ydata()[-1])
    assert ax.get_ylim()[1] >= 37  # of the others


def test_weights_over_epochs(ax):
    frame = pd.DataFrame(
        {"key": "r", "term": ["pearson", "spearman"] * 2, "epoch": [0, 0, 1, 1], "weight": 0.5}
    )
    assert plots.weights_over_epochs(ax, frame) is ax
    assert [line.get_color() for line in ax.lines] == list(palette.TERM_COLOURS.values())


def test_accuracy_by_teacher_sorts_and_bands(ax):
    table = pd.DataFrame(
        {
            **{"method": ["kd", "kd", "cmkd"], "teacher": ["b", "a", "a"]},
            **{"teacher_top1": [79.0, 72.0, 72.0], "teacher_params": [1e5, 2e5, 2e5]},
            **{"mean": [70.0, 71.0, 72.0], "ci95": [0.2, 0.3, 9.0], "n": [5, 3, 2]},
        }
    )
    assert plots.accuracy_by_teacher(ax, table) is ax
    assert ax.lines[0].get_xdata().tolist() == [72.0, 79.0]
    kd, cmkd = ax.collections
    assert kd.get_datalim(ax.transData).y1 == pytest.approx(71.3)
    assert not np.isfinite(cmkd.get_datalim(ax.transData).y1)  # no band of two trials
    assert all("(%)" in label for label in (ax.get_xlabel(), ax.get_ylabel()))
    assert [line.get_label() for line in ax.lines] == ["kd (n=3 to 5)", "cmkd (n=2)"]
    assert [text.get_text() for text in ax.texts] == ["b", "a"]
    other = plots.accuracy_by_teacher(Figure().subplots(), table, "teacher_params")
    assert other.lines[0].get_xdata().tolist() == [1e5, 2e5]
    assert other.get_xlabel() == "teacher's parameters (millions)"


def test_boundary_numbers(ax):
    summary = pd.DataFrame(
        {
            **{"name": ["teacher", "kd", "kd"], "number": ["margin", "margin", "ambiguity"]},
            **{"mean": [2.0, 1.0, 0.1], "low": [1.5, 0.8, 0.0], "high": [2.5, 1.1, 0.2]},
            "censored": [0.5, 0.25, np.nan],
        }
    )
    assert plots.boundary_numbers(ax, summary, "margin") is ax
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["teacher", "kd"]
    assert ax.get_ylabel() == "margin, at most |x2 - x1|\n(normalised input units)"
    assert [text.get_text() for text in ax.texts] == ["50%", "25%"]
    other = plots.boundary_numbers(Figure().subplots(), summary, "ambiguity")
    assert not other.texts


def test_heat_maps_share_one_range():
    panels = list(Figure().subplots(1, 2))
    matrices = {"kd": np.eye(4), "cmkd": 3 * np.eye(4)}
    assert maps.correlation_heatmaps(panels, matrices, 2.0) is panels
    assert [ax.images[0].get_clim() for ax in panels] == [(0, 2), (0, 2)]
    assert [ax.get_title() for ax in panels] == ["kd", "cmkd"]
    assert {ax.get_xlabel() for ax in panels} == {"class"}
    maps.correlation_heatmaps(panels, matrices, 2.0, class_axis="class, by superclass")
    assert panels[0].get_ylabel() == "class, by superclass"
    with pytest.raises(UserError, match="as many panels"):
        maps.correlation_heatmaps(panels[:1], matrices, 2.0)


def test_decision_regions_colour_by_class_and_lighten_by_confidence(ax, probabilities):
    probabilities[0, 0] = np.eye(12)[3]  # sure of an anchor class: the full colour
    names = [f"class {i}" for i in range(12)]
    one = picture_of(probabilities, [(0, 0), (4, 0), (1, 3)], [3, 1, 2])
    assert maps.decision_regions(ax, one, names) is ax
    picture = np.asarray(ax.images[0].get_array())
    assert picture[0, 0] == pytest.approx(to_rgb(palette.REGION_COLOURS[0]), abs=1e-6)
    assert picture.min() >= 0
    assert picture.max() <= 1
    patches, labels = maps.region_legend([3, 1, 2], names)
    assert labels == ["class 3", "class 1", "class 2", "other"]
    assert to_rgb(patches[0].get_facecolor()) == to_rgb(palette.REGION_COLOURS[0])
    assert [text.get_text() for text in ax.texts] == ["class 3", "class 1", "class 2"]
