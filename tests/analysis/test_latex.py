"""LaTeX tables compile (``read_latex`` reads them as LaTeX does) and can be read."""

import pandas as pd
import pytest

from repro.analysis.latex import MANY, WRAPPED, latex_escape, to_latex
from tests.analysis.read_latex import rows_of

NASTY = "50% of a_b #1 {x} & ~^\\ $5 | [a] <b> ± × – — → ρ τ ≤ ≥ ∞ −"


def test_every_special_character_is_escaped():
    assert latex_escape("50% of a_b #1 {x} & ~^\\") == (
        r"50\% of a\_b \#1 \{x\} \& \textasciitilde{}\textasciicircum{}\textbackslash{}"
    )
    frame = pd.DataFrame({NASTY: [NASTY, "x"], "b": [1.0, float("nan")]})
    rows = rows_of(to_latex(frame, NASTY, (NASTY,), {(0, 0): "best", (1, 0): "second"}))
    assert [row[1] for row in rows] == ["b", "1.00", "-"]
    assert rows[2][0] == r"\underline{x}"


def test_a_row_has_a_cell_for_each_column_and_long_columns_are_broken():
    frame = pd.DataFrame({"claim": ["word " * 20], "low": [float("nan")], "high": [0.123]})
    text = to_latex(frame, "claims", ())
    assert rows_of(text)[1] == ["word " * 20, "-", "0.12"]
    assert rf"\begin{{tabular}}{{{WRAPPED}ll}}" in text


@pytest.mark.parametrize(("columns", "cell"), [(MANY, "1.00 $\\pm$ 0.10 (5)"), (MANY + 1, None)])
def test_in_a_table_of_many_columns_the_spread_stands_below(columns, cell):
    frame = pd.DataFrame({str(i): ["1.00 ± 0.10 (5)"] for i in range(columns)})
    assert rows_of(to_latex(frame, "t", ()))[1][0] == (cell or "1.00 / $\\pm$ 0.10 (5)")


def test_what_is_missing_at_the_end_of_a_cell_takes_no_line():
    frame = pd.DataFrame({"a": ["1.00 (5) | - | -", "- | 2.00 | -", "-"]})
    assert [row[0] for row in rows_of(to_latex(frame, "t", ()))] == [
        "a",
        "1.00 (5)",
        "- / 2.00",
        "-",
    ]


def test_an_empty_table_is_a_table():
    assert rows_of(to_latex(pd.DataFrame({"a": [], "b": []}), "t", ())) == [["a", "b"]]


@pytest.mark.parametrize("fault", ["a & b", "100%", "a_b", "{", "$1", "é"])
def test_the_reader_finds_what_latex_would_refuse(fault):
    good = to_latex(pd.DataFrame({"a": ["cell"]}), "t", ())
    rows_of(good)
    with pytest.raises(AssertionError):
        rows_of(good.replace("cell", fault))
