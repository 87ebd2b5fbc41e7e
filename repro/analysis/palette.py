"""One marker a method beside its colour, the same in every figure, and the mark of a profile."""

from textwrap import wrap

from matplotlib.figure import Figure

from repro.analysis.colours import METHOD_COLOURS, number_of
from repro.analysis.style import reserve_below

REGION_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
OTHER_COLOUR = "#8C8C8C"
TERM_COLOURS = {"pearson": "#0072B2", "spearman": "#D55E00"}
MARKERS = "osD^vP*X<>ph"
MARK_ID = "profile-mark"
MARK_COLOUR = "#B00020"
MARK_SIZE = 7  # points
MARK_LETTERS = 17  # of that size an inch, at least
MARK_LINE, MARK_ROOM = 0.13, 0.13  # inches: a line, and around all of them


def marker_of(method: str) -> str:
    """A marker of the method: by place in ``METHOD_COLOURS``, by hash for the others."""
    known = list(METHOD_COLOURS)
    index = known.index(method) if method in METHOD_COLOURS else number_of(method)
    return MARKERS[index % len(MARKERS)]


def mark_profile(figure: Figure, text: str) -> None:
    """Stamp e.g. "profile: quick, not the paper's protocol" below everything; nothing for "".

    A strip as high as its text is kept free for it; a figure without a layout gets the constrained
    one.
    """
    if not text:
        return
    if figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")
    width = float(figure.get_size_inches()[0])
    lines = wrap(text, int(MARK_LETTERS * width))
    strip = reserve_below(figure, MARK_LINE * len(lines) + MARK_ROOM)
    mark = figure.text(1 - 0.1 / width, strip / 2, "\n".join(lines), ha="right", va="center")
    mark.set(fontsize=MARK_SIZE, color=MARK_COLOUR)
    mark.set_bbox({"boxstyle": "round", "facecolor": "white", "edgecolor": MARK_COLOUR})
    mark.set_gid(MARK_ID)
