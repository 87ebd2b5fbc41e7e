"""Pieces of HTML: escaped text, tables, pictures and interval plots, with nothing to fetch."""

import base64
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import pandas as pd

from repro.analysis.estimates import Estimate
from repro.analysis.tables import text_rows

WIDTH, ROW = 320, 26  # of an interval plot, in pixels


def element(tag: str, *content: str, **attributes: str) -> str:
    """``content`` is HTML; attributes are text, ``class_`` for class, ``data_x`` for data-x."""
    names = {name: name.rstrip("_").replace("_", "-") for name in attributes}
    words = "".join(f' {names[n]}="{escape(value)}"' for n, value in attributes.items())
    return f"<{tag}{words}>{''.join(content)}</{tag}>"


def text(words: object) -> str:
    return escape(str(words))


def paragraphs(lines: Iterable[str]) -> str:
    return "".join(element("p", text(line)) for line in lines)


def items(lines: Iterable[str]) -> str:
    return element("ul", *(element("li", text(line)) for line in lines))


def table(
    frame: pd.DataFrame,
    *,
    links: Mapping[tuple[int, int], str] | None = None,
    kinds: Mapping[tuple[int, int], str] | None = None,
) -> str:
    """A frame with its header. ``links``: addresses by (row, column), ``kinds``: CSS classes."""
    header, *rows = text_rows(frame)
    head = element("tr", *(element("th", text(name), scope="col") for name in header))
    body = [
        element(
            "tr", *(_cell(cell, (i, j), links or {}, kinds or {}) for j, cell in enumerate(row))
        )
        for i, row in enumerate(rows)
    ]
    whole = element("table", element("thead", head), element("tbody", *body))
    return element("div", whole, class_="scroll")


def _cell(
    words: str,
    place: tuple[int, int],
    links: Mapping[tuple[int, int], str],
    kinds: Mapping[tuple[int, int], str],
) -> str:
    inner = text(words)
    if place in links:
        inner = element("a", inner, href=links[place])
    return element("td", inner, class_=kinds[place]) if place in kinds else element("td", inner)


def picture(path: Path, caption: str) -> str:
    """A PNG within the page."""
    data = base64.b64encode(path.read_bytes()).decode()
    image = f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}" loading="lazy">'
    return element("figure", image, element("figcaption", text(caption)))


def intervals(rows: Sequence[tuple[str, Estimate]], effect: float) -> str:
    """A line for each estimate with its 95 % interval, 0 and D marked; empty where none has one."""
    known = [(name, e) for name, e in rows if not math.isnan(e.standard_error)]
    if not known:
        return ""
    low = min(0.0, *(e.low for _, e in known))
    high = max(effect, *(e.high for _, e in known))
    span = high - low or 1.0

    def x(value: float) -> float:
        return 150 + (WIDTH - 20) * (value - low) / span

    height = ROW * len(known) + 22
    lines = [
        f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="0" y2="{height - 20}"/>',
        f'<line class="effect" x1="{x(effect):.1f}" x2="{x(effect):.1f}" y1="0" '
        f'y2="{height - 20}"/>',
        f'<text x="{x(0):.1f}" y="{height - 6}" text-anchor="middle">0</text>',
        f'<text x="{x(effect):.1f}" y="{height - 6}" text-anchor="middle">D</text>',
    ]
    for number, (name, e) in enumerate(known):
        y = ROW * number + ROW / 2
        lines.append(f'<text x="142" y="{y + 4:.1f}" text-anchor="end">{text(name)}</text>')
        lines.append(
            f'<line class="interval" x1="{x(e.low):.1f}" x2="{x(e.high):.1f}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<circle cx="{x(e.estimate):.1f}" cy="{y:.1f}" r="4"/>'
        )
    words = "; ".join(f"{n} {e.estimate:+.3g} [{e.low:+.3g}, {e.high:+.3g}]" for n, e in known)
    size = f'viewBox="0 0 {150 + WIDTH} {height}" role="img" aria-label="{text(words)}"'
    return f'<svg class="intervals" {size}>{"".join(lines)}</svg>'
