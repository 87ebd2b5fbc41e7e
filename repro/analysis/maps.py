"""Heat maps of inter-class relations and pictures of decision regions, drawn on given ``Axes``."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from repro.analysis.palette import OTHER_COLOUR, REGION_COLOURS
from repro.analysis.regions import Picture, region_classes
from repro.errors import UserError

FAINTEST = 0.25  # colour strength where the network is least sure


def correlation_heatmaps(
    axes: Sequence[Axes],
    matrices: dict[str, NDArray[np.float64]],
    vmax: float,
    *,
    label: str = "|student - teacher|",
    class_axis: str = "class",
) -> Sequence[Axes]:
    """One |D| [K, K] a panel, titled by its name, all on the one fixed range [0, vmax].

    Classes in the order given, which ``class_axis`` names. Raises UserError if the numbers of
    panels and matrices differ.
    """
    if len(axes) != len(matrices):
        raise UserError(f"{len(matrices)} matrices need as many panels, not {len(axes)}")
    for ax, (name, matrix) in zip(axes, matrices.items(), strict=True):
        image = ax.imshow(matrix, vmin=0, vmax=vmax, cmap="viridis", interpolation="nearest")
        ax.set_title(name)
        ax.set_xlabel(class_axis)
        ax.set_ylabel(class_axis)
    figure = axes[0].figure
    if isinstance(figure, Figure):
        over = max(float(np.max(matrix)) for matrix in matrices.values()) > vmax
        bar = figure.colorbar(
            image, ax=list(axes), label=label, extend="max" if over else "neither"
        )
        bar.ax.tick_params(labelsize=6)
    return axes


def decision_regions(
    ax: Axes, picture: Picture, class_names: Sequence[str], *, classes: Sequence[int] = ()
) -> Axes:
    """Colour = predicted class, strength = max softmax; the three images are marked.

    ``classes``: those with a colour, from ``region_classes`` over all panels of a figure; empty for
    this panel's own. The rest is grey.
    """
    shown = tuple(classes) or region_classes([picture])
    colours = region_colours(shown)
    rgb = np.full((*picture.predicted.shape, 3), to_rgb(OTHER_COLOUR))
    for c, colour in colours.items():
        rgb[picture.predicted == c] = to_rgb(colour)
    drawn = 1 - _strength(picture)[..., None] * (1 - rgb)
    ax.imshow(drawn, origin="lower", extent=picture.extent, interpolation="nearest")
    _mark_anchors(ax, picture, [class_names[c] for c in picture.labels])
    ax.set_xlabel("α (normalised units)")
    ax.set_ylabel("β (normalised units)")
    return ax


def region_colours(classes: Sequence[int]) -> dict[int, str]:
    return dict(zip(classes, REGION_COLOURS, strict=False))


def region_legend(
    classes: Sequence[int], class_names: Sequence[str]
) -> tuple[list[Patch], list[str]]:
    """Handles and labels of the classes that have a colour, and of the rest."""
    colours = region_colours(classes)
    patches = [Patch(color=colour) for colour in colours.values()]
    names = [class_names[c] for c in colours]
    return [*patches, Patch(color=OTHER_COLOUR)], [*names, "other"]


def _strength(picture: Picture) -> NDArray[np.float64]:
    """Max softmax [R, R] from 1/K (least sure) .. 1 to FAINTEST .. 1."""
    chance = 1 / picture.num_classes
    share = (picture.probability - chance) / (1 - chance)
    return FAINTEST + (1 - FAINTEST) * np.clip(share, 0, 1)


def _mark_anchors(ax: Axes, picture: Picture, names: Sequence[str]) -> None:
    x, y = picture.anchors.T
    ax.scatter(x, y, s=16, c="white", edgecolors="black", linewidths=0.7, zorder=3)
    for i, name in enumerate(names):
        where, offset = (x[i], y[i]), -9 if y[i] > 0 else 4  # the third image is near the top
        ax.annotate(name, where, (0, offset), textcoords="offset points", ha="center", fontsize=6)
