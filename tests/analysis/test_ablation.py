"""The ablation's table: every variant less CMKD, with verdicts on either side."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from paper_tables import ablation
from repro.analysis.ablation import ablation_table, shown
from repro.grid import expand
from repro.profiles import PROFILES
from tests.analysis.conftest import make_runs
from tests.analysis.read_latex import rows_of
from tests.made_results import finished, results_of

PAIR = "resnet32x4:resnet8x4"
METHODS = ["teacher", "ce", "kd", "cmkd", "cmkd/reversed", "cmkd/fixed-half", "cmkd/weight-2"]
TOP1 = {
    "ce": [70.0, 70.2, 70.1],
    "cmkd": [75.0, 75.3, 75.1],
    "cmkd/reversed": [74.9, 75.4, 75.1],
    "cmkd/fixed-half": [73.9, 74.3, 74.1],
}


@pytest.fixture
def table() -> pd.DataFrame:
    runs = [make_runs(PAIR, method, values) for method, values in TOP1.items()]
    return ablation_table(pd.concat(runs, ignore_index=True), [PAIR], METHODS)


def test_a_variant_is_compared_by_trial_with_the_residuals_of_all_methods(table) -> None:
    assert list(table["method"]) == ["cmkd", "ce", "kd", *(m for m in METHODS if "/" in m)]
    row = table.set_index("method").loc["cmkd/fixed-half"]
    values = np.array(list(TOP1.values())).T
    d = values[:, 3] - values[:, 1]
    centred = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    error = np.sqrt(max(2 * (centred**2).sum() / 6, d.var(ddof=1)) / 3)
    half = stats.t.ppf(0.975, 6) * error
    assert row["difference"] == pytest.approx(d.mean())
    assert (row["low95"], row["high95"]) == pytest.approx((d.mean() - half, d.mean() + half))
    assert (row["mean"], row["n"]) == (pytest.approx(74.0), 3)  # make_runs: last less 0.1


def test_variants_are_one_family_and_other_methods_another(table) -> None:
    rows = table.set_index("method")
    families = rows["family"].drop("cmkd")
    assert families.to_dict() == {m: 3 if "/" in m else 2 for m in families.index}
    half = rows.loc["cmkd/fixed-half"]
    assert half["p_holm"] == pytest.approx(3 * half["p"])
    assert (half["better"], half["worse"]) == ("refuted (reversed)", "supported")
    assert rows.loc["cmkd/weight-2", "better"] == "not run"


def test_the_table_is_read_in_words(table) -> None:
    cells = shown(table).set_index("method")
    assert cells.loc["cmkd", "less cmkd"] == "-"
    assert cells.loc["cmkd/fixed-half", "less cmkd"].startswith("-1.03 [")
    assert cells.loc["cmkd/fixed-half", "less cmkd"].endswith("] (3)")
    assert cells.loc["cmkd/weight-2", "top-1 (%)"] == "-"


def test_the_script_writes_the_table_of_the_ablation_alone(tmp_path: Path) -> None:
    profile = replace(PROFILES["demo"], trials=3)
    runs = [run for run in expand("ablation", profile) if run.method in ("teacher", "kd", "cmkd")]
    files = ablation.write(results_of("ablation", profile, finished(*runs)), tmp_path)
    assert [path.suffix for path in files] == [".md", ".tex", ".html", ".csv"]
    assert len(rows_of(files[1].read_text())) > 20  # variants that are not trained: rows of "-"
    assert "better" in pd.read_csv(files[3], comment="#")
    demo = expand("demo", PROFILES["demo"])
    assert ablation.write(results_of("demo", PROFILES["demo"], finished(*demo)), tmp_path) == []
