"""One marker a method beside its colour, the same in every figure, and the mark of a profile."""

from matplotlib.figure import Figure

from repro.analysis.colours import METHOD_COLOURS, number_of

REGION_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
OTHER_COLOUR = "#8C8C8C"
TERM_COLOURS = {"pearson": "#0072B2", "spearman": "#D55E00"}
MARKERS = "osD^vP*X<>ph"
MARK_ID = "profile-mark"
MARK_COLOUR = "#B00020"


def marker_of(method: str) -> str:
    """A marker of the method: by place in ``METHOD_COLOURS``, by hash for the others."""
    known = list(METHOD_COLOURS)
    index = known.index(method) if method in METHOD_COLOURS else number_of(method)
    return MARKERS[index % len(MARKERS)]


def mark_profile(figure: Figure, text: str) -> None:
    """Stamp e.g. "profile: quick, not the paper's protocol" below the panels; nothing for "".

    It takes the place of the figure's common x label, for which layouts make room; a figure without
    a layout gets the constrained one.
    """
    if not text:
        return
    if figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")
    mark = figure.supxlabel(text, x=0.99, ha="right", fontsize=8, color=MARK_COLOUR)
    mark.set_bbox({"boxstyle": "round", "facecolor": "white", "edgecolor": MARK_COLOUR})
    mark.set_gid(MARK_ID)
