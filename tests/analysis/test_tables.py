import numpy as np
import pandas as pd
import pytest

from repro.analysis.tables import difference_words, spread_words, to_csv, to_markdown

NAN = float("nan")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ((72.314, 0.204, 5), "72.31 ± 0.20 (5)"),
        ((72.314, NAN, 1), "72.31 (1)"),
        ((NAN, NAN, 0), "-"),
    ],
)
def test_a_cell_of_ours(cell, words):
    assert spread_words(*cell) == words


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ((0.42, 0.1, 0.74, 5), "+0.42 [+0.10, +0.74] (5)"),
        ((-0.42, NAN, NAN, 1.0), "-0.42 (1)"),
        ((NAN, NAN, NAN, 0), "-"),
    ],
)
def test_a_paired_difference(difference, words):
    assert difference_words(*difference) == words


def test_other_frames_show_dashes_for_missing_numbers():
    frame = pd.DataFrame({"claim": ["C1"], "low": [float("nan")], "high": [0.123]})
    assert "| C1 | - | 0.12 |" in to_markdown(frame, "claims", ())
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
