import io
import re

import numpy as np
import pandas as pd
import pytest

from repro.analysis.accuracy import comparison_table
from repro.analysis.tables import comparison_files, latex_escape, to_csv, to_latex, wide

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
        "70.80 ± 0.20 (3) | 70.66 [last] | +0.14 | reproduced (±0.62)"
    )
    assert cells.loc["dkd", PAIRS[0]] == (
        "72.10 ± 0.14 (2) | 71.97 [best] | +0.13 | reproduced (±0.62)"
    )
    assert cells.loc["kd", PAIRS[1]] == "- | 74.92 [last] | -"
    assert cells.loc["cmkd", PAIRS[0]] == "-"


def test_the_sign_of_the_difference_is_ours_minus_published(table):
    table.loc[table["method"] == "kd", "difference"] = -0.5
    assert wide(table).loc["kd", PAIRS[0]].endswith("| -0.50 | reproduced (±0.62)")


def test_every_output_carries_the_marks_and_every_source_with_its_place(table):
    files = comparison_files(table, "Table 1", [MARK])
    assert set(files) == {".md", ".tex", ".csv"}
    for suffix, text in files.items():
        assert MARK in text, suffix
        assert "Published: HobbitLong/RepDistiller, README.md@b84f547c5d." in text, suffix
        assert "Published: megvii-research/mdistiller, " in text, suffix


def test_markdown_rows_have_one_cell_a_column(table):
    text = comparison_files(table, "Table 1", [MARK])[".md"]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert text.startswith("# Table 1\n")
    assert len(rows) == 2 + 4
    assert {len(re.split(r"(?<!\\)\|", row)) for row in rows} == {5}


def test_latex_structure(table):
    text = comparison_files(table, "Table_1 & more", [MARK])[".tex"]
    for part in (r"\toprule", r"\midrule", r"\bottomrule", r"\begin{tabular}{lll}"):
        assert text.count(part) == 1
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    assert r"\caption{Table\_1 \& more}" in text
    assert r"wrn\_40\_2:wrn\_16\_2" in text
    assert r"70.80 $\pm$ 0.20 (3) $|$ 70.66 {[}last{]} $|$ +0.14" in text
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert len(body) == 4
    assert all(line.count("&") == 2 and line.endswith(r"\\") for line in body)
    bare = re.sub(r"\\[&%$#_{}]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    assert text.isascii()


def test_latex_escapes_every_special_character():
    assert latex_escape("50% of a_b #1 {x} & ~^\\") == (
        r"50\% of a\_b \#1 \{x\} \& \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )


def test_csv_is_long_and_reads_back(table):
    text = comparison_files(table, "Table 1", [MARK])[".csv"]
    back = pd.read_csv(io.StringIO(text), comment="#")
    assert len(back) == len(table)
    assert back["mean"].to_numpy() == pytest.approx(table["mean"].to_numpy(), nan_ok=True)
    assert back["keys"][1].split() == list(table["keys"][1])


def test_other_frames_show_dashes_for_missing_numbers():
    frame = pd.DataFrame({"claim": ["C1"], "low": [float("nan")], "high": [0.123]})
    assert "C1 & - & 0.12 \\\\" in to_latex(frame, "claims", ())
    assert to_csv(frame, ()).splitlines()[0] == "claim,low,high"


def test_csv_is_written_as_pandas_writes_it():
    frame = pd.DataFrame(
        {
            "words": ["a", 'b, "c"', None, "ü\n"],
            "mixed": [1, "x,y", None, 0.5],
            "numbers": [0.1, 1e-05, float("nan"), 123456789.0123456789],
            "few digits": np.float32([0.1, float("nan"), 3e10, 1e-7]),
            "counts": [1, -2, 3, 10**12],
            "flags": [True, False, True, False],
            "missing": [None] * 4,
        }
    )
    assert to_csv(frame, ()) == frame.to_csv(index=False, lineterminator="\n")
    named = frame.set_index(pd.Index(list("abcd"), name="method"))
    assert to_csv(named, ()) == named.to_csv(lineterminator="\n")
    assert to_csv(frame[:0], ("m",)) == "# m\n" + frame[:0].to_csv(index=False)
    tuples = pd.DataFrame({"keys": [("a", "b"), (), ("c",)], "x": [1.5, 2.5, 3.5]})
    assert to_csv(tuples, ()).splitlines() == ["keys,x", "a b,1.5", ",2.5", "c,3.5"]
