"""Figures are as wide as a page, and nothing on them is cut off or lies on anything else."""

import matplotlib as mpl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from repro.analysis.palette import MARK_ID, mark_profile
from repro.analysis.style import DPI, PAGE, house_style, legend_below, page_figure, panel_grid

MARK = "Profile demo, not the paper's protocol: digits, all images, 8 epochs (8 for teachers)"


def test_the_style_holds_within_and_not_after() -> None:
    before = mpl.rcParams["font.size"]
    with house_style():
        assert mpl.rcParams["font.size"] == 8
        assert mpl.rcParams["pdf.fonttype"] == 42
    assert mpl.rcParams["font.size"] == before


@pytest.mark.parametrize(("count", "shape"), [(6, (2, 3)), (4, (2, 3)), (1, (1, 3))])
def test_panels_fill_rows(count: int, shape: tuple[int, int]) -> None:
    figure = page_figure(3)
    axes = panel_grid(figure, count, 3)
    assert len(axes) == count
    assert len(figure.axes) == shape[0] * shape[1]
    assert sum(ax.axison for ax in figure.axes) == count


def drawn(methods: int, mark: str, name: str = "method") -> Figure:
    with house_style():
        figure = page_figure(3.5)
        axes = figure.subplots(1, 2)
        for ax in axes:
            for i in range(methods):
                ax.plot([0, 1], [i, i], label=f"{name} {i} (n=5)")
            ax.set_xlabel("epoch")
        legend_below(figure, axes[0], title="legend")
        figure.suptitle("title")
        mark_profile(figure, mark)
        figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("methods", [1, 5, 25])
@pytest.mark.parametrize("mark", ["", MARK, f"{MARK} Teacher resnet14: imported (a file). " * 2])
def test_panels_legend_and_mark_stand_below_each_other(methods: int, mark: str) -> None:
    figure = drawn(methods, mark)
    (legend,) = figure.legends
    boxes = [legend.get_window_extent()]
    boxes += [text.get_window_extent() for text in figure.texts if text.get_gid() == MARK_ID]
    assert len(boxes) == 1 + bool(mark)
    lowest = min(ax.get_tightbbox().y0 for ax in figure.axes)
    for box in boxes:
        assert box.y1 <= lowest
        assert box.y0 >= 0
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        lowest = box.y0


def test_a_legend_takes_as_many_columns_as_fit() -> None:
    (short,), (long,) = drawn(5, "").legends, drawn(9, "", "a long name of a method").legends
    assert short._ncols == 5
    assert 1 < long._ncols < 9
    assert page_figure(3).get_size_inches()[0] == PAGE


def test_without_labels_there_is_no_legend() -> None:
    figure = page_figure(3)
    legend_below(figure, figure.subplots())
    assert figure.legends == []


def test_a_legend_that_just_fits_is_not_cut_off_when_it_is_saved() -> None:
    for length in range(8, 48):
        with house_style():
            figure = page_figure(3)
            (ax,) = panel_grid(figure, 1, 1)
            for i in range(6):
                ax.plot([0, 1], [i, i], marker="o", label=f"{i}: {'drop 1.2 ' * 6}"[:length])
            legend_below(figure, ax)
            figure.set_dpi(DPI)
            box = figure.legends[0].get_window_extent(FigureCanvasAgg(figure).get_renderer())
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
