"""The committed page of methods is that of the code, and made-up methods do not break it."""

import csv
import json
import re
from dataclasses import dataclass
from types import ModuleType

import pytest

from repro.analysis.methods import Entry, Sources, methods_page, needs, settings
from repro.analysis.published import PUBLISHED_METHODS
from repro.environment import ROOT
from repro.losses import CE, LOSSES, METHODS, named
from repro.output import load_script
from tests.analysis.conftest import PUBLISHED
from tests.analysis.read_latex import rows_of

HOW = "repro/ and paper_tables/methods.md differ: write the page anew with `repro methods`"
MEASURED = {
    "hardware": {"device": "a chip", "threads": 2, "torch": "2", "date": "2026-11-22T10:00:00"},
    "settings": {"rounds": 7, "batch_size": 64, "pair": "a:b", "notes": {"step": "all"}},
    "methods": [{"method": "kd", "ratio": 1.004, "quartiles": [0.99, 1.02]}],
    "cohorts": [{"pair": "a:b", "methods": ["kd", "cmkd"], "ratio": 1.1, "quartiles": [1.05, 1.2]}],
}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script(ROOT / "paper_tables" / "methods.py")


@pytest.fixture(scope="module")
def entries(script: ModuleType) -> dict[str, Entry]:
    return {entry.method: entry for entry in script.entries()}


def rows(page: str) -> dict[str, list[str]]:
    """The cells of each method."""
    lines = [line for line in page.splitlines() if line.startswith("| ")][2:]
    table = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return {method: cells for method, *cells in table}


def test_the_committed_page_is_that_of_the_code(
    script: ModuleType, entries: dict[str, Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script, "entries", lambda: list(entries.values()))
    assert script.PAGE.read_text() == script.page(), HOW


def test_a_cohort_of_all_logit_methods_costs_at_most_1_15_times_one_of_kd(
    script: ModuleType,
) -> None:
    cohorts = json.loads(script.MEASURED.read_text())["cohorts"]
    assert {cohort["pair"] for cohort in cohorts} == {"resnet32x4:resnet8x4", "resnet56:resnet20"}
    for cohort in cohorts:
        assert len(cohort["methods"]) == 11
        assert cohort["ratio"] <= 1.15


def test_every_method_has_a_row_with_a_paper_and_a_kind(script: ModuleType) -> None:
    found = rows(script.PAGE.read_text())
    assert tuple(found) == METHODS, HOW
    without = [method for method, cells in found.items() if "-" in cells[:2]]  # paper, kind
    assert without in ([], ["ce"])


def test_adapters_are_as_large_as_counted_by_hand(entries: dict[str, Entry]) -> None:
    crd, simkd = entries["crd"], entries["simkd"]
    assert crd.adapter_params == 2 * (256 * 128 + 128)  # a linear layer for each network
    assert crd.adapter_buffers >= 2 * 50_000 * 128  # the memories
    assert crd.deployed_params == 0
    projector = 256 * 128 + 128 * 128 * 9 + 128 * 256 + 2 * (128 + 128 + 256)  # with BatchNorms
    assert simkd.adapter_params == simkd.deployed_params == projector
    assert [m for m, entry in entries.items() if entry.deployed_params] == ["simkd"]
    assert entries["kd"] == Entry(method="kd", loss=named("kd"))


def test_needs_are_what_the_loss_reads(entries: dict[str, Entry]) -> None:
    assert needs(entries["ce"]) == ["-"]
    assert needs(entries["kd+ls"]) == ["teacher's logits"]
    assert needs(entries["crd"]) == ["teacher's features", "image indices", "adapter"]
    assert needs(entries["sp"]) == ["teacher's features"]
    assert needs(Entry(method="crd+cmkd", loss=named("crd+cmkd")))[1] == "image indices"
    having = {need: [m for m, e in entries.items() if need in needs(e)] for need in needs_known}
    assert having == {"image indices": ["crd"], "second view": ["mlkd"]}


needs_known = ("image indices", "second view")


def test_settings_name_every_field() -> None:
    assert settings(named("kd")) == "temperature=4, ce_weight=0.1, kd_weight=0.9"
    assert settings(named("kd+ls")) == "loss=KD(temperature=2, ce_weight=0.1, kd_weight=9)"
    assert "soft_rank=SigmoidRank(tau=0.1)" in settings(named("cmkd"))
    assert settings(object()) == "-"


@dataclass(frozen=True, kw_only=True)
class Mine(CE):
    """A new idea, which no paper has.

    Not this line.
    """

    order: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Mute(CE):
    ce_weight: float = 2e-5


def test_a_made_up_method_has_a_row_of_what_is_known(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOSSES, "mine", Mine)
    monkeypatch.setitem(LOSSES, "mute", Mute)
    monkeypatch.setattr(script, "METHODS", ("kd", "mine", "mute"))
    found = rows(script.page())
    assert list(found) == ["kd", "mine", "mute"]
    paper, *rest = found["mine"]
    assert paper == "A new idea, which no paper has."
    assert rest == ["-", "-", "ce_weight=1, order=(1, 2)", "-", "-", "-", "-", "-"]
    assert found["mute"] == ["-", "-", "-", "ce_weight=2e-05", "-", "-", "-", "-", "-"]


def test_costs_are_those_measured(published) -> None:
    entries = [Entry(method=method, loss=named(method)) for method in ("kd", "cmkd")]
    pair = "resnet32x4:resnet8x4"
    page = methods_page(entries, pair, Sources(papers={}, measured=MEASURED, published=published))
    found = rows(page)
    assert found["kd"][-2:] == ["1.00 (0.99 to 1.02)", "73.33 [last] HobbitLong/RepDistiller"]
    assert found["cmkd"][-2:] == ["-", "-"]
    assert "median and quartiles of 7 rounds; batches of 64, a:b, a chip, 2 threads" in page
    assert "A cohort of a:b with kd, cmkd takes 1.10 (1.05 to 1.20) x the steps of 2 KD" in page
    nothing = methods_page(entries, pair, Sources(papers={}, measured={}, published=published))
    assert "step / KD: not measured." in nothing


def test_published_rows_are_found_by_the_names_of_the_methods() -> None:
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        names = {row["method"] for row in csv.DictReader(file)}
    plain = {re.sub(r"[^a-z0-9+]", "", name.lower()): name for name in names}
    expected = {method: plain[method] for method in METHODS if method in plain}
    assert len(expected) > 5
    assert {method: PUBLISHED_METHODS.get(method) for method in expected} == expected
    assert PUBLISHED_METHODS["catkd"] == "CAT-KD"


def test_the_page_comes_in_every_form(script: ModuleType) -> None:
    files = script.files()
    assert list(files) == [".md", ".tex", ".html", ".csv"]
    header, *lines = rows_of(files[".tex"])
    assert header[:2] == ["method", "paper"]
    assert len(lines) == len(rows(files[".md"]))
    assert "<h1>Methods</h1>" in files[".html"]
