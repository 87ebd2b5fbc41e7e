"""One colour and one marker a method, the same in every figure, and the mark of a profile.

Okabe and Ito's palette for the methods that share most figures, Paul Tol's muted and dark sets for
the rest: no palette of this many colours is safe for colour-blind readers by itself, so lines also
differ by marker.
"""

import hashlib
from textwrap import wrap

from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

from repro.analysis.style import reserve_below

METHOD_COLOURS = {
    "teacher": "#000000",
    "ce": "#7F7F7F",
    "kd": "#0072B2",
    "dkd": "#E69F00",
    "dist": "#009E73",
    "cmkd": "#D55E00",
    "kd+ls": "#CC79A7",
    "crd": "#56B4E9",
    "reviewkd": "#F0E442",
    "dkd+ls": "#882255",
    "mlkd": "#332288",
    "fitnet": "#44AA99",
    "at": "#999933",
    "sp": "#DDCC77",
    "rkd": "#CC6677",
    "vid": "#AA4499",
    "pkt": "#117733",
    "cc": "#88CCEE",
    "ofd": "#663333",
    "ttm": "#225555",
    "wttm": "#666633",
    "simkd": "#4477AA",
    "catkd": "#222255",
    "nkd": "#BBCC33",
    "ctkd": "#EE8866",
    "pld": "#AA4466",
    "nst": "#AAAA00",
    "rkkd": "#77AADD",
}
SPARE_COLOURS = ("#994F88", "#EEDD88", "#FFAABB", "#99DDFF", "#44BB99", "#5289C7", "#555555")
REGION_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
OTHER_COLOUR = "#8C8C8C"
TERM_COLOURS = {"pearson": "#0072B2", "spearman": "#D55E00"}
MARKERS = "osD^vP*X<>ph"
MARK_ID = "profile-mark"
MARK_COLOUR = "#B00020"
MARK_SIZE = 7  # points
MARK_LETTERS = 17  # of that size an inch, at least
MARK_LINE, MARK_ROOM = 0.13, 0.13  # inches: a line, and around all of them


def colour_of(method: str) -> str:
    """The method's colour as ``#rrggbb``; variants and sums (``cmkd/...``, ``crd+cmkd``) that are
    not listed are tints of their (first) method's colour.

    A method that is not listed takes a spare colour by the hash of its name: stable, but two such
    methods can share one.
    """
    base = method if method in METHOD_COLOURS else method.replace("+", "/").partition("/")[0]
    colour = METHOD_COLOURS.get(base) or SPARE_COLOURS[_digest(base) % len(SPARE_COLOURS)]
    return tint(colour, 0.85 - 0.05 * (_digest(method) % 12)) if base != method else colour.lower()


def marker_of(method: str) -> str:
    """A marker of the method: by place in ``METHOD_COLOURS``, by hash for the others."""
    known = list(METHOD_COLOURS)
    index = known.index(method) if method in METHOD_COLOURS else _digest(method)
    return MARKERS[index % len(MARKERS)]


def tint(colour: str, strength: float) -> str:
    """The colour mixed with white: 1 leaves it, 0 is white."""
    red, green, blue = (1 - strength * (1 - channel) for channel in to_rgb(colour))
    return str(to_hex((red, green, blue)))


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


def _digest(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
