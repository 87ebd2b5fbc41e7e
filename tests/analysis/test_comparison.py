"""Accuracies beside published values, as people read them."""

import io
import re

import pandas as pd
import pytest

from repro.analysis.accuracy import comparison_table
from repro.analysis.comparison import comparison_files, footnotes, places, wide
from tests.analysis.read_latex import rows_of

PAIRS = ("resnet56:resnet20", "wrn_40_2:wrn_16_2")
MARK = "Profile quick: not the paper's protocol"


@pytest.fixture
def table(results, published):
    return comparison_table(results, published, pairs=PAIRS, methods=["ce", "kd", "dkd", "cmkd"])


def test_wide_cells(table):
    cells = wide(table)
    assert list(cells.index) == ["ce", "kd", "dkd", "cmkd"]
    assert list(cells.columns) == list(PAIRS)
    assert cells.loc["kd", PAIRS[0]] == (
        "70.80 ± 0.20 (3) | 70.66 [last, 1] | +0.14 | reproduced (±0.62)"
    )
    assert cells.loc["dkd", PAIRS[0]] == (
        "72.10 ± 0.14 (2) | 71.97 [best, 2] | +0.13 | reproduced (±0.62)"
    )
    assert cells.loc["kd", PAIRS[1]] == "- | 74.92 [last, 1] | -"
    assert cells.loc["cmkd", PAIRS[0]] == "-"


def test_the_sign_of_the_difference_is_ours_minus_published(table):
    table.loc[table["method"] == "kd", "difference"] = -0.5
    assert wide(table).loc["kd", PAIRS[0]].endswith("| -0.50 | reproduced (±0.62)")


def test_every_output_carries_the_marks_and_every_source_with_its_place(table):
    files = comparison_files(table, "Table 1", [MARK])
    assert set(files) == {".md", ".tex", ".html", ".csv"}
    for suffix, text in files.items():
        assert MARK in text, suffix
        assert "Published, 1: HobbitLong/RepDistiller, README.md@b84f547c5d." in text, suffix
        assert "Published, 2: megvii-research/mdistiller, " in text, suffix


def test_markdown_rows_have_one_cell_a_column(table):
    text = comparison_files(table, "Table 1", [MARK])[".md"]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert text.startswith("# Table 1\n")
    assert len(rows) == 2 + 4
    assert {len(re.split(r"(?<!\\)\|", row)) for row in rows} == {5}


def test_latex_has_the_parts_of_a_cell_below_each_other(table):
    text = comparison_files(table, "Table_1 & more", [MARK])[".tex"]
    header, *rows = rows_of(text)
    assert header == ["method", *(pair.replace("_", r"\_") for pair in PAIRS)]
    assert [row[0] for row in rows] == ["ce", "kd", "dkd", "cmkd"]
    parts = (
        r"\underline{70.80 $\pm$ 0.20 (3)}",
        "70.66 {[}last, 1{]}",
        "+0.14",
        r"reproduced ($\pm$0.62)",
    )
    assert rows[1][1] == " / ".join(parts)
    assert r"\caption{Table\_1 \& more}" in text


def test_a_table_without_published_values_shows_ours_alone(table):
    table["published_source"] = ""
    assert wide(table).loc["kd", PAIRS[0]] == "70.80 ± 0.20 (3)"
    (legend,) = footnotes(table)
    assert "nothing is published" in legend


def test_best_and_second_are_marked_in_every_form(table):
    table["place"] = ["", "second", "best", "", *[""] * 4]
    assert places(table) == {(1, 1): "second", (2, 1): "best"}
    files = comparison_files(table, "Table 1", [MARK])
    assert "| dkd | **72.10 ± 0.14 (2)" in files[".md"]
    assert rows_of(files[".tex"])[3][1].startswith(r"\textbf{72.10 $\pm$ 0.14 (2)} / ")
    assert rows_of(files[".tex"])[2][1].startswith(r"\underline{70.80 $\pm$ 0.20 (3)} / ")
    assert '<td class="best">72.10 ± 0.14 (2)' in files[".html"]
    assert '<td class="second">70.80 ± 0.20 (3)' in files[".html"]


def test_csv_is_long_and_reads_back(table):
    text = comparison_files(table, "Table 1", [MARK])[".csv"]
    back = pd.read_csv(io.StringIO(text), comment="#")
    assert len(back) == len(table)
    assert back["mean"].to_numpy() == pytest.approx(table["mean"].to_numpy(), nan_ok=True)
    assert back["keys"][1].split() == list(table["keys"][1])


def test_what_is_of_another_protocol_has_no_difference_and_no_verdict(results, published):
    table = comparison_table(
        results, published, pairs=PAIRS, methods=["kd", "cmkd"], comparable=False
    )
    assert table["difference"].isna().all()
    assert table["smallest_margin"].isna().all()
    assert set(table["reproduced"]) == {""}
    cells = wide(table)
    assert cells.loc["kd", PAIRS[0]] == "70.80 ± 0.20 (3) | 70.66 [last, 1]"
    assert cells.loc["kd", PAIRS[1]] == "- | 74.92 [last, 1]"
    assert cells.loc["cmkd", PAIRS[0]] == "-"
    assert footnotes(table)[0].startswith("Cells: our mean ± std (trials) | published value")
    assert "Not compared" in footnotes(table)[0]
