"""One colour a method, the same in every figure and in MLflow.

Okabe and Ito's palette for the methods that share most figures, Paul Tol's muted and dark sets for
the rest: no palette of this many colours is safe for colour-blind readers by itself, so lines also
differ by marker.
"""

import hashlib

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


def colour_of(method: str) -> str:
    """The method's colour as ``#rrggbb``; variants and sums (``cmkd/...``, ``crd+cmkd``) that are
    not listed are tints of their (first) method's colour.

    A method that is not listed takes a spare colour by the hash of its name: stable, but two such
    methods can share one.
    """
    base = method if method in METHOD_COLOURS else method.replace("+", "/").partition("/")[0]
    colour = METHOD_COLOURS.get(base) or SPARE_COLOURS[number_of(base) % len(SPARE_COLOURS)]
    return (
        tint(colour, 0.85 - 0.05 * (number_of(method) % 12)) if base != method else colour.lower()
    )


def tint(colour: str, strength: float) -> str:
    """The colour ``#rrggbb`` mixed with white: 1 leaves it, 0 is white."""
    channels = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    mixed = (1 - strength * (1 - channel) for channel in channels)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in mixed)


def number_of(text: str) -> int:
    """A name as a number, the same everywhere."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
