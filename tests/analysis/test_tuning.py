"""What tuning gains, and CMKD's lead over methods that were tuned as it was."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from paper_tables import tuned
from repro.analysis.tuning import GAIN, LEAD, TUNED_LEAD, shown, tuned_table
from repro.grid import Choice, expand
from repro.profiles import PROFILES
from tests.analysis.conftest import make_runs
from tests.made_results import finished, results_of

PAIR = "resnet20:resnet8"
KD, CMKD = "kd/temperature-1-weight-1.8", "cmkd/temperature-1-weight-4"
TOP1 = {  # DIST's own values were the best of its candidates
    "kd": [60.0, 61.0, 62.0],
    "dist": [65.0, 65.4, 66.0],
    "cmkd": [65.5, 66.1, 66.0],
    KD: [63.0, 64.1, 64.8],
    CMKD: [65.0, 65.8, 66.1],
}


@pytest.fixture
def table() -> pd.DataFrame:
    runs = pd.concat([make_runs(PAIR, method, values) for method, values in TOP1.items()])
    return tuned_table(runs, [PAIR], list(TOP1))


def test_each_comparison_is_paired_by_trial_with_the_residuals_of_all_rows(table) -> None:
    values = np.array(list(TOP1.values())).T
    centred = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    pooled = 2 * (centred**2).sum() / (2 * 4)  # (trials - 1) (rows - 1) degrees of freedom
    rows = table.set_index(["comparison", "method"])
    for row, (one, other) in {
        (GAIN, "kd"): (KD, "kd"),
        (GAIN, "cmkd"): (CMKD, "cmkd"),
        (LEAD, "dist"): ("cmkd", "dist"),
        (TUNED_LEAD, "kd"): (CMKD, KD),
        (TUNED_LEAD, "dist"): (CMKD, "dist"),
    }.items():
        d = np.array(TOP1[one]) - np.array(TOP1[other])
        half = stats.t.ppf(0.975, 2 * 4) * np.sqrt(max(pooled, d.var(ddof=1)) / 3)
        found = rows.loc[row]
        assert found["difference"] == pytest.approx(d.mean())
        assert (found["low95"], found["high95"]) == pytest.approx(
            (d.mean() - half, d.mean() + half)
        )
    assert (GAIN, "dist") not in rows.index
    assert (LEAD, "cmkd") not in rows.index
    assert rows.loc[(TUNED_LEAD, "dist"), "tuned"] == "dist"


def test_the_table_is_read_in_words(table) -> None:
    cells = shown(table).set_index("method")
    assert list(cells.index) == ["kd", "dist", "cmkd"]
    assert cells.loc["kd", "tuned"] == "temperature-1-weight-1.8"
    assert cells.loc["kd", "as it is"] == "60.90 ± 1.00 (3)"  # make_runs: last less 0.1
    assert cells.loc["kd", GAIN].startswith("+2.97 [")
    assert cells.loc["kd", GAIN].split("(3), ")[1].startswith("supported (")
    assert (cells.loc["dist", GAIN], cells.loc["cmkd", LEAD]) == ("-", "-")


def test_the_script_writes_the_table_of_its_grid_alone(tmp_path: Path) -> None:
    profile = PROFILES["quick"]
    runs = [run for run in expand("tuned", profile, Choice(trials=2)) if run.method != "dist"]
    files = tuned.write(results_of("tuned", profile, finished(*runs)), tmp_path)
    assert [path.suffix for path in files] == [".md", ".tex", ".html", ".csv"]
    assert "| dist | - | temperature-1-weight-2 |" in files[0].read_text()
    demo = expand("demo", PROFILES["demo"])
    assert tuned.write(results_of("demo", PROFILES["demo"], finished(*demo)), tmp_path) == []
