"""The report: one file that holds everything, and says what it lacks."""

import re
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from repro.analysis import claims as judging
from repro.analysis.estimates import cell
from repro.analysis.evidence import Evidence
from repro.analysis.formats import table_files, write_files
from repro.records import Record, Status, now_ms
from repro.report import page as report
from repro.report.html import element, intervals, picture, table
from repro.report.page import built_words, page
from tests.analysis.made_up import PROFILE, demo, made_up
from tests.made_results import finished

VOID = {"meta", "link", "img", "line", "circle"}


class Checked(HTMLParser):
    """Collects what a page refers to; every element that is opened must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.verdicts: dict[str, str] = {}
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        if "data-verdict" in given:
            self.verdicts[given["id"]] = given["data-verdict"]
        self.links += [given["href"]] if tag == "a" else []
        self.sources += [given["src"]] if "src" in given else []

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


@pytest.fixture
def evidence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evidence:
    monkeypatch.setattr(report, "ROOT", tmp_path)
    tables = tmp_path / "paper_tables"
    tables.mkdir()
    (tables / "published.csv").symlink_to(
        Path(__file__).parents[2] / "paper_tables" / "published.csv"
    )
    runs = demo()
    rows = finished(*runs, grid="demo").assign(dataset="digits", top1_best=60.0, top1_last10=55.0)
    results = made_up(tmp_path, *runs)
    return Evidence((replace(results, table=rows),))


def test_the_page_holds_seven_claims_and_every_link_leads_somewhere(evidence: Evidence) -> None:
    found = Checked(page(evidence, built_words(evidence, "today", None)))
    assert list(found.verdicts) == [f"claim-C{n}" for n in range(1, 8)]
    assert set(found.verdicts.values()) <= {"supported", "refuted", "inconclusive", "not-run"}
    assert len(found.ids) == len(set(found.ids))
    assert found.links
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)


def test_every_finished_run_stands_in_the_page_and_the_profile_is_marked(
    evidence: Evidence,
) -> None:
    text = page(evidence, "")
    for run_id in evidence.table["run_id"]:
        assert run_id in text
    assert escape(PROFILE.mark) in text
    assert "no figures yet" in text


def test_figures_are_within_the_page_and_old_ones_are_said(
    evidence: Evidence, tmp_path: Path
) -> None:
    out = tmp_path / "figures" / "out" / "demo"
    out.mkdir(parents=True)
    (out / "training-curves.png").write_bytes(b"picture")
    found = Checked(page(evidence, ""))
    assert found.sources == ["data:image/png;base64,cGljdHVyZQ=="]
    assert "older than the newest run" not in page(evidence, "")
    record = Record(tmp_path / "records" / evidence.table["key"].iloc[0])
    record.directory.mkdir(parents=True)
    record.create(evidence.grids[0].runs[0], {})
    record.write_status(Status("FINISHED", 1, now_ms() + 60_000))
    assert "older than the newest run: training-curves" in page(evidence, "")


def test_nothing_is_fetched(evidence: Evidence) -> None:
    text = page(evidence, "")
    assert not re.search(r'(src|href)="(https?:)?//', text)
    assert "@import" not in text
    assert "url(" not in text


def test_words_are_escaped() -> None:
    html = table(pd.DataFrame({"a<b": ["<script>", '"']}))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert element("p", title='"<', class_="x") == '<p title="&quot;&lt;" class="x"></p>'


def test_an_interval_plot_marks_zero_and_the_effect() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 2.0], "b": [0.5, 1.0, 1.2]})
    svg = intervals([("kd", cell(frame, ("a", "b")))], 0.3)
    assert svg.count("<circle") == 1
    assert 'class="zero"' in svg
    assert 'class="effect"' in svg
    assert intervals([("kd", cell(frame[:1], ("a", "b")))], 0.3) == ""


def test_a_picture_has_words(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")
    assert 'alt="what it shows"' in picture(path, "what it shows")


def test_the_claims_of_made_up_runs_are_judged_in_order(evidence: Evidence) -> None:
    found: list[Any] = judging.judge(evidence)
    assert [judged.claim.name for judged in found] == [f"C{n}" for n in range(1, 8)]


def test_a_table_is_shown_as_its_own_page_has_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    frame = pd.DataFrame({"a": [1.5], "b": ["x & y"]})
    write_files(
        table_files(frame, frame, "T", lines=(), places={(0, 0): "best"}), path.with_suffix("")
    )
    shown = report.as_written(path)
    assert Checked(shown).ids == []
    assert '<td class="best">1.50</td><td>x &amp; y</td>' in shown
    path.with_suffix(".html").unlink()
    assert report.as_written(path) == ""
