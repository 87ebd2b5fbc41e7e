"""A method's whole row beside the published one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from paper_tables import accuracy
from repro.analysis.table_verdict import row_differences, row_lines
from repro.grid import Choice, expand
from tests.made_results import PAPER, finished, results_of

PAIRS = ("a:x", "b:y", "c:z")


def table_of(differences: list[float], epoch: str = "last", method: str = "kd") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "pair": PAIRS,
            "method": method,
            "difference": differences,
            "published_epoch": epoch,
            "published_top1": 70.0,
        }
    )


def runs_of(best: float) -> pd.DataFrame:
    return pd.DataFrame({"key": PAIRS, "pair": PAIRS, "method": "kd", "top1_best": best})


def test_a_row_is_the_t_interval_of_its_pairs() -> None:
    differences = [0.1, -0.05, 0.02]
    ((pairs, found),) = row_differences(runs_of(0.0), table_of(differences)).values()
    expected = stats.t.interval(0.90, 2, np.mean(differences), stats.sem(differences))
    assert pairs == 3
    assert (found.low90, found.high90) == pytest.approx(expected)
    (line,) = row_lines({"kd": (pairs, found)})
    assert "kd +0.02 [-0.10, +0.15] (3 pairs) reproduced (±0.15)" in line
    assert "within ±0.3" in line


def test_an_unknown_epoch_must_hold_for_last_and_best() -> None:
    table = table_of([0.1, -0.05, 0.02], "unknown")
    ((_, found),) = row_differences(runs_of(71.0), table).values()
    assert found.high90 == pytest.approx(1.0)
    assert found.low90 == pytest.approx(-0.103, abs=0.001)
    assert found.verdict(0.3) == "inconclusive"


def test_without_two_values_or_for_teachers_there_is_no_line() -> None:
    none = [float("nan")] * 2
    assert row_differences(runs_of(0.0), table_of([0.1, *none])) == {}
    assert row_differences(runs_of(0.0), table_of([0.1, 0.2, 0.3], method="teacher")) == {}
    assert row_lines({}) == ()


def test_the_line_stands_under_tables_of_the_paper_s_profile_only(tmp_path: Path) -> None:
    runs = expand("cifar-same", PAPER, Choice(trials=3, methods=("kd",)))
    rows = finished(*runs).assign(top1_best=60.0)
    results = results_of("cifar-same", PAPER, rows)
    other = replace(results, profile=replace(PAPER, name="quick"))
    for found, lines in ((results, 1), (other, 0)):
        accuracy.write(found, tmp_path)
        assert (tmp_path / "accuracy.md").read_text().count("Ours - published, mean") == lines
