"""Tables as they were written: Markdown read back, so that the report shows what the files say."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from repro.analysis.tables import MARKDOWN

CELL = re.compile(r"(?<!\\)\|")
Place = tuple[int, int]


@dataclass(frozen=True)
class Written:
    """``kinds``: "best" and "second" by (row, column)."""

    title: str
    notes: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kinds: dict[Place, str] = field(default_factory=dict)

    def links(self, anchors: dict[tuple[str, str], str]) -> dict[Place, str]:
        """``anchors`` by (pair, method). Rows have either a pair and a method each, or a method
        each with the pairs as columns."""
        found = {}
        for i, row in enumerate(self.rows):
            named = dict(zip(self.header, row, strict=False))
            method = named.get("method", "")
            for j, column in enumerate(self.header):
                place = (named.get("pair", column), method)
                if column not in ("pair", "method") and place in anchors:
                    found[i, j] = f"#{anchors[place]}"
        return found


def read_written(path: Path) -> Written:
    """The reverse of ``tables.to_markdown``."""
    lines = path.read_text().splitlines()
    title = next((line.removeprefix("# ") for line in lines if line.startswith("# ")), path.stem)
    notes = [line.removeprefix("- ") for line in lines if line.startswith("- ")]
    header, _, *rows = [_cells(line) for line in lines if line.startswith("|")] or [(), ()]
    marked = {
        (i, j): kind
        for i, row in enumerate(rows)
        for j, cell in enumerate(row)
        for kind in ("best", "second")
        if _matches(cell, MARKDOWN[kind])
    }
    plain = tuple(
        tuple(_plain(cell, marked.get((i, j), "")) for j, cell in enumerate(row))
        for i, row in enumerate(rows)
    )
    return Written(title, tuple(notes), tuple(header), plain, marked)


def _cells(line: str) -> Sequence[str]:
    return tuple(cell.strip().replace("\\|", "|") for cell in CELL.split(line)[1:-1])


def _matches(cell: str, form: str) -> bool:
    start, end = form.split("{}")
    return len(cell) > len(start + end) and cell.startswith(start) and cell.endswith(end)


def _plain(cell: str, kind: str) -> str:
    start, end = MARKDOWN[kind].split("{}")
    return cell.removeprefix(start).removesuffix(end) if kind else cell
