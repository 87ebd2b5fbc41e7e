"""The report: one file that holds everything, and says what it lacks."""

import base64
import io
import re
from dataclasses import replace
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from repro import manifest, paper
from repro.analysis import claims as judging
from repro.analysis.estimates import cell
from repro.analysis.evidence import Evidence
from repro.analysis.tables import to_markdown
from repro.departures import DEPARTURES
from repro.errors import UserError
from repro.grid import Choice, expand
from repro.output import distinct
from repro.profiles import PROFILES
from repro.records import Record, Status, now_ms
from repro.report import figures
from repro.report import page as report
from repro.report.html import element, frame_table, picture, table
from repro.report.page import built_words, page
from repro.report.plot import intervals
from repro.report.runs import anchor
from repro.report.written import read_written
from repro.results import GridResults
from repro.spec import key
from tests.analysis.made_up import PROFILE, demo, made_up
from tests.made_results import finished
from tests.made_results import results_of as results_at

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
    for module in (report, figures):
        monkeypatch.setattr(module, "ROOT", tmp_path)
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
    assert "no figures of these runs yet" in text
    assert "no tables of these runs yet" in text
    assert "repro run stronger-teacher --profile demo" in text  # what it lacks


def test_figures_are_within_the_page_and_old_ones_are_said(
    evidence: Evidence, tmp_path: Path
) -> None:
    out = tmp_path / "figures" / "out" / "demo"
    out.mkdir(parents=True)
    draw(out / "training-curves-a-b.png")
    assert "no figures of these runs yet" in page(evidence, "")
    manifest.finish(out, evidence.grids[0], [out / "training-curves-a-b.png"])
    text = page(evidence, "")
    (source,) = Checked(text).sources
    assert source.startswith("data:image/webp;base64,")
    assert "Accuracy and loss on test images by epoch" in text
    assert "older than the newest run" not in page(evidence, "")
    record = Record(tmp_path / "records" / evidence.table["key"].iloc[0])
    record.directory.mkdir(parents=True)
    record.create(evidence.grids[0].runs[0], {})
    record.write_status(Status("FINISHED", 1, now_ms() + 60_000))
    assert "older than the newest run: training-curves-a-b" in page(evidence, "")


def test_nothing_is_fetched(evidence: Evidence) -> None:
    text = page(evidence, "")
    assert not re.search(r'(src|href)="(https?:)?//', text)
    assert "@import" not in text
    assert "url(" not in text


def draw(path: Path) -> np.ndarray:
    """A picture of 20 x 10 pixels, as what is written to ``path``."""
    pixels = np.random.default_rng(0).integers(256, size=(10, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def test_words_are_escaped() -> None:
    html = frame_table(pd.DataFrame({"a<b": ["<script>", '"']}), "a")
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert element("p", title='"<', class_="x") == '<p title="&quot;&lt;" class="x"></p>'


def test_a_table_scrolls_in_its_box_and_links_ours_alone() -> None:
    cells = [["kd", "72.1 (5) | 71.0 [best] | +1.1"], ["at", "-"]]
    html = table(("method", "a:b"), cells, "top-1", links={(0, 1): "#x", (1, 1): "#y"})
    assert 'role="region" aria-label="top-1" tabindex="0"' in html
    assert '<a href="#x">72.1 (5)</a><small>71.0 [best] | +1.1</small>' in html
    assert "#y" not in html
    assert '<th scope="row">kd</th>' in html


def test_an_interval_plot_marks_zero_and_the_effect() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, 2.0], "b": [0.5, 1.0, 1.2]})
    svg = intervals([("kd", cell(frame, ("a", "b")))], 0.3, "points")
    assert svg.count("<circle") == 1
    assert 'class="zero"' in svg
    assert 'class="effect"' in svg
    assert "D = 0.3: kd +0.767 [" in svg
    assert intervals([("kd", cell(frame[:1], ("a", "b")))], 0.3, "points") == ""


def test_a_picture_keeps_its_pixels_and_has_words(tmp_path: Path) -> None:
    pixels = draw(tmp_path / "a.png")
    html = picture(tmp_path / "a.png", "what it shows")
    assert 'alt="what it shows" width="20" height="10" loading="lazy"' in html
    data = re.search(r"base64,([^\"]+)", html)
    assert data
    packed = Image.open(io.BytesIO(base64.b64decode(data[1])))
    assert np.array_equal(np.asarray(packed), pixels)
    (tmp_path / "b.png").write_bytes(b"cut off")
    with pytest.raises(UserError, match=r"b\.png cannot be read; remove it"):
        picture(tmp_path / "b.png", "what it shows")


def test_a_written_table_is_read_back(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a:b": ["1 | 2", "-"], "c:d": ["3", "4"]}, index=["kd", "at"])
    frame.index.name = "method"
    marked = {(0, 2): "best", (1, 2): "second"}
    (tmp_path / "t.md").write_text(to_markdown(frame, "A title", ("one", "two"), marked))
    found = read_written(tmp_path / "t.md")
    assert (found.title, found.notes) == ("A title", ("one", "two"))
    assert found.header == ("method", "a:b", "c:d")
    assert found.rows == (("kd", "1 | 2", "3"), ("at", "-", "4"))
    assert found.kinds == marked
    assert found.links({("c:d", "at"): "x"}) == {(1, 2): "#x"}


def test_a_written_table_of_a_row_a_cell_links_all_of_it(tmp_path: Path) -> None:
    frame = pd.DataFrame({"pair": ["a:b"], "method": ["kd"], "top-1": ["70"], "gain": ["+1"]})
    (tmp_path / "t.md").write_text(to_markdown(frame, "A title", ()))
    places = {("a:b", "kd"): anchor("a:b", "kd")}
    found = read_written(tmp_path / "t.md").links(places)
    assert found == {(0, 2): "#runs-a-b-kd", (0, 3): "#runs-a-b-kd"}


def test_tables_stand_in_the_page_as_they_were_written(evidence: Evidence, tmp_path: Path) -> None:
    out = tmp_path / "paper_tables" / "out" / "demo"
    out.mkdir(parents=True)
    frame = pd.DataFrame({"resnet14:resnet8": ["91.2", "92.3"]}, index=["teacher", "kd"])
    frame.index.name = "method"
    marks = (*evidence.marks, "how to read it")
    (out / "accuracy.md").write_text(to_markdown(frame, "Demo: top-1 (%)", marks))
    assert "no tables of these runs yet" in page(evidence, "")
    manifest.finish(out, evidence.grids[0], [out / "accuracy.md"])
    text = page(evidence, "")
    found = Checked(text)
    assert {"#runs-resnet14-teacher", "#runs-resnet14-resnet8-kd"} <= set(found.links)
    assert {link.removeprefix("#") for link in found.links} <= set(found.ids)
    assert text.count(escape(PROFILE.mark)) == 1  # on top


def test_every_departure_and_unknown_stands_in_the_page(evidence: Evidence) -> None:
    text = page(evidence, "")
    for words in DEPARTURES:
        assert words.split("`")[0].split("'")[0] in unescape(text)
    for unknown in (*paper.CMKD.values(), paper.TRIALS, paper.PLUG_IN_PAIRS):
        assert escape(unknown.why) in text


def test_a_grid_that_decides_another_claim_is_kept_where_its_runs_stand_elsewhere_too() -> None:
    """A union of grids has all of plug-in's runs where plug-in's methods ran on its pairs."""
    runs = expand("plug-in", PROFILES["demo"], Choice(trials=1))
    table = finished(*runs, grid="plug-in")
    grids = [
        GridResults(grid, PROFILES["demo"], runs, table, Path("runs"), Path("data"))
        for grid in ("cifar", "demo", "cifar-same", "plug-in")
    ]
    assert [found.grid for found in distinct(grids)] == ["cifar", "plug-in"]


def test_a_sweep_that_holds_the_runs_of_an_accuracy_grid_does_not_stand_for_its_claims() -> None:
    """Of the sweep C1 is decided; C2, C3, C4 and C7 are those of the pair of its middle."""
    profile = PROFILES["quick"]
    table = finished(*expand("stronger-teacher", profile), grid="stronger-teacher")
    grids = [results_at(grid, profile, table) for grid in ("cifar-same", "stronger-teacher")]
    assert {key(run) for run in grids[0].runs} < {key(run) for run in grids[1].runs}
    assert distinct(grids) == grids


def test_held_out_accuracies_are_no_evidence() -> None:
    """Grid tuning has cells of the pair and the method of an accuracy grid."""
    profile = PROFILES["quick"]
    both = [
        results_at(grid, profile, finished(*expand(grid, profile), grid=grid))
        for grid in ("cifar-same", "tuning")
    ]
    assert [results.held_out for results in both] == [False, True]
    own = Evidence(both[:1]).table
    assert set(Evidence(both).table["key"]) == set(own["key"])
    assert "no test image" in both[1].marks[1]


def test_the_claims_of_made_up_runs_are_judged_in_order(evidence: Evidence) -> None:
    found: list[Any] = judging.judge(evidence)
    assert [judged.claim.name for judged in found] == [f"C{n}" for n in range(1, 8)]
