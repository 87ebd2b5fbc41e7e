"""Pieces of HTML: escaped text, tables and pictures, with nothing to fetch."""

import base64
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import pandas as pd
from PIL import Image, UnidentifiedImageError

from repro.analysis.tables import MISSING, text_rows
from repro.errors import UserError

LONG = 36  # characters of a cell from which on its column is kept wide enough to be read
Cells = Mapping[tuple[int, int], str]


def element(tag: str, *content: str, **attributes: str) -> str:
    """``content`` is HTML; attributes are text, ``class_`` for class, ``data_x`` for data-x."""
    names = {name: name.rstrip("_").replace("_", "-") for name in attributes}
    words = "".join(f' {names[n]}="{escape(value)}"' for n, value in attributes.items())
    return f"<{tag}{words}>{''.join(content)}</{tag}>"


def text(words: object) -> str:
    return escape(str(words))


def prose(words: str) -> str:
    """Text whose `commands` are shown as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", text(words))


def paragraphs(lines: Iterable[str]) -> str:
    return "".join(element("p", prose(line)) for line in lines)


def items(lines: Iterable[str]) -> str:
    found = [element("li", prose(line)) for line in lines]
    return element("ul", *found) if found else ""


def terms(named: Mapping[str, str]) -> str:
    """A list of terms, each with what is said of it."""
    found = (element("dt", text(name)) + element("dd", prose(said)) for name, said in named.items())
    return element("dl", *found)


def frame_table(frame: pd.DataFrame, label: str) -> str:
    """A frame with its header; ``label`` says what it holds to those who do not see it."""
    header, *rows = text_rows(frame)
    return table(header, rows, label)


def table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    label: str,
    *,
    links: Cells | None = None,
    kinds: Cells | None = None,
) -> str:
    """``links``: addresses by (row, column), ``kinds``: CSS classes. It scrolls in its own box,
    by keyboard too, so that the page does not."""
    head = element("tr", *(element("th", text(name), scope="col") for name in header))
    body = [
        element(
            "tr", *(_cell(cell, (i, j), links or {}, kinds or {}) for j, cell in enumerate(row))
        )
        for i, row in enumerate(rows)
    ]
    return scrolled(element("thead", head) + element("tbody", *body), label)


def scrolled(content: str, label: str) -> str:
    whole = element("table", content)
    return element("div", whole, class_="scroll", role="region", aria_label=label, tabindex="0")


def _cell(words: str, place: tuple[int, int], links: Cells, kinds: Cells) -> str:
    """The first of several values "a | b | c" is ours, and has the link to its runs."""
    first, *others = words.split(" | ")
    inner = text(first)
    if place in links and first != MISSING:
        inner = element("a", inner, href=links[place])
    if others:
        inner += element("small", text(" | ".join(others)))
    names = [kinds[place]] if place in kinds else []
    names += ["long"] if len(words) >= LONG and not others else []
    tag, more = ("th", {"scope": "row"}) if place[1] == 0 else ("td", {})
    more |= {"class_": " ".join(names)} if names else {}
    return element(tag, inner, **more)


def picture(path: Path, caption: str, detail: str = "") -> str:
    """A PNG within the page, as lossless WebP: the same pixels in less than half the bytes.

    ``caption`` stands in the place of the picture for those who do not see it. Raises UserError
    where it cannot be read.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            packed = io.BytesIO()
            image.convert("RGB").save(packed, "WEBP", lossless=True, method=2)
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise UserError(f"{path} cannot be read; remove it and draw it again") from error
    size = f'width="{width}" height="{height}" loading="lazy" decoding="async"'
    data = base64.b64encode(packed.getvalue()).decode()
    image_tag = f'<img alt="{escape(caption)}" {size} src="data:image/webp;base64,{data}">'
    box = element("div", image_tag, class_="scroll", role="region", aria_label=caption)
    box = box.replace("<div", '<div tabindex="0"', 1)
    words = text(caption) + (element("small", prose(detail)) if detail else "")
    return element("figure", box, element("figcaption", words))
