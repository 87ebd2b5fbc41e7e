"""Any frame as a web page of its own: one file, nothing to fetch, for a screen or a phone."""

from collections.abc import Sequence
from html import escape as escape_quotes

import pandas as pd

from repro.analysis.tables import NO_PLACES, Places, text_rows

STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;color:#1d2733;margin:24px auto;max-width:1100px;"
    "padding:0 16px}h1{font-size:1.3rem}ul{color:#5b6775;font-size:.9rem;padding-left:1.2em}"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;"
    "font-size:.9rem}th,td{text-align:left;vertical-align:top;padding:5px 10px;"
    "border-bottom:1px solid #d9dee4}thead th{border-bottom:2px solid #1d2733;white-space:nowrap}"
    ".best{font-weight:700}.second{text-decoration:underline}"
)


def escape(text: str) -> str:
    return escape_quotes(text, quote=False)


def to_html(df: pd.DataFrame, title: str, marks: Sequence[str], places: Places = NO_PLACES) -> str:
    """Title, marks and table; ``places``: "best" (bold), "second" (underlined)."""
    header, *rows = text_rows(df)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "\n".join(_row(row, i, places) for i, row in enumerate(rows))
    notes = "".join(f"<li>{escape(mark)}</li>" for mark in marks)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(title)}</title><style>{STYLE}</style>'
        f"</head>\n<body><h1>{escape(title)}</h1>\n{f'<ul>{notes}</ul>' if notes else ''}\n"
        f'<div class="scroll"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>'
        "</table></div></body></html>\n"
    )


def _row(row: Sequence[str], number: int, places: Places) -> str:
    cells = (_cell(text, places.get((number, j), "")) for j, text in enumerate(row))
    return f"<tr>{''.join(cells)}</tr>"


def _cell(text: str, place: str) -> str:
    kind = f' class="{place}"' if place else ""
    return f"<td{kind}>{escape(text)}</td>"
