"""Tables as web pages: whole, escaped, and with nothing to fetch."""

from html.parser import HTMLParser

import pandas as pd

from repro.analysis.webpage import to_html

VOID = {"meta", "link"}


class Cells(HTMLParser):
    """The cells of the one table, with their classes; every element must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, str]] = []
        self.cells: list[tuple[str, str]] = []
        self.rows = 0
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert "src" not in given
        assert (given.get("href") or "data:,").startswith("data:")
        self.rows += tag == "tr"
        if tag not in VOID:
            self.open.append((tag, given.get("class") or ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1][0] in ("td", "th"):
            self.cells.append((data, self.open[-1][1]))


def test_a_table_is_a_page_by_itself() -> None:
    frame = pd.DataFrame({"a <b>": ["x & y", '"q"'], "n": [1.234, float("nan")]})
    text = to_html(frame, "Title & more", ("mark <1>",), {(0, 1): "best", (1, 0): "second"})
    found = Cells(text)
    assert found.rows == 3
    assert found.cells == [
        *(("a <b>", ""), ("n", "")),
        *(("x & y", ""), ("1.23", "best")),
        *(('"q"', "second"), ("-", "")),
    ]
    assert "<title>Title &amp; more</title>" in text
    assert "<li>mark &lt;1&gt;</li>" in text


def test_without_marks_there_is_no_list() -> None:
    assert "<ul>" not in to_html(pd.DataFrame({"a": [1]}), "t", ())
