"""The plug-in table: methods alone, with CMKD's terms, and with DIST's as the control."""

import importlib.util
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from repro.analysis.plug_in import plug_in_files, plug_in_table, wide
from repro.analysis.statistics import paired_difference
from repro.grid import PLUGGED_IN, Choice, expand
from tests.made_results import DEMO, finished, results_of

ROOT = Path(__file__).resolve().parents[2]
PAIR = "resnet14:resnet8"
TRIALS = pd.DataFrame(
    {"kd": [70.0, 70.4, 70.2], "kd+cmkd": [71.0, 71.5, 71.1], "dkd": [70.9, 71.2, 71.3]}
)


def made(**top1: list[float]) -> pd.DataFrame:
    """Finished runs of one pair; a trial is left out where its value is NaN."""
    rows = [
        {"key": f"{method}{trial}", "pair": PAIR, "method": method, "trial": trial, "top1_last": v}
        for method, values in top1.items()
        for trial, v in enumerate(values)
        if not np.isnan(v)
    ]
    return pd.DataFrame(rows)


def test_two_methods_give_the_paired_t_interval_of_scipy() -> None:
    two = TRIALS[["kd", "kd+cmkd"]]
    expected = stats.ttest_rel(two["kd+cmkd"], two["kd"]).confidence_interval(0.95)
    mean, low, high, n = paired_difference(two, "kd+cmkd", "kd")
    assert mean == pytest.approx(1.0)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert n == 3


def test_more_methods_lend_their_residuals() -> None:
    """By hand: residuals of the two-way table, (3 - 1)(3 - 1) = 4 degrees of freedom."""
    table = TRIALS.to_numpy()
    residuals = table - table.mean(0) - table.mean(1)[:, None] + table.mean()
    error = np.sqrt(2 * (residuals**2).sum() / 4 / 3)
    own = np.sqrt((TRIALS["kd+cmkd"] - TRIALS["kd"]).var(ddof=1) / 3)
    assert error > own
    mean, low, high, _ = paired_difference(TRIALS, "kd+cmkd", "kd")
    assert (low, high) == pytest.approx(stats.t.interval(0.95, 4, mean, error))


def test_a_noisier_pair_keeps_its_own_spread() -> None:
    trials = TRIALS.assign(**{"kd+cmkd": [71.0, 74.0, 69.0]})
    calm = trials.assign(a=trials["kd"] + 1, b=trials["kd"] + 2, c=trials["kd"] + 3)
    difference = calm["kd+cmkd"] - calm["kd"]
    mean, low, _, _ = paired_difference(calm, "kd+cmkd", "kd")
    error = np.sqrt(difference.var(ddof=1) / 3)
    assert low == pytest.approx(mean - stats.t.ppf(0.975, 10) * error)


def test_a_missing_trial_leaves_that_trial_out_of_both_arms() -> None:
    trials = pd.DataFrame({"kd": [70.0, 70.4, np.nan], "kd+cmkd": [71.0, 71.6, 60.0]})
    assert paired_difference(trials, "kd+cmkd", "kd")[::3] == (pytest.approx(1.1), 2)
    mean, low, high, n = paired_difference(trials[:1], "kd+cmkd", "kd")
    assert (mean, n) == (pytest.approx(1.0), 1)
    assert np.isnan([low, high]).all()
    assert paired_difference(trials, "kd", "dist")[3] == 0


def test_a_method_with_fewer_trials_changes_nothing() -> None:
    """Such as the teacher, of which there is one."""
    more = TRIALS.assign(teacher=[75.0, np.nan, np.nan], late=[np.nan, 70.0, 71.0])
    expected = paired_difference(TRIALS, "kd+cmkd", "kd")
    assert paired_difference(more, "kd+cmkd", "kd") == pytest.approx(expected)


def test_a_row_holds_both_means_the_gain_and_its_runs() -> None:
    results = made(kd=[70.0, 70.4], **{"kd+cmkd": [71.0, 71.6], "kd+dist": [70.5]})
    methods = ["kd", "kd+cmkd", "kd+dist", "dkd", "dkd+cmkd", "dkd+dist"]
    table = plug_in_table(results, [PAIR], methods, PLUGGED_IN)
    assert list(zip(table["method"], table["plug_in"], strict=True)) == [
        *(("kd", "cmkd"), ("kd", "dist")),
        *(("dkd", "cmkd"), ("dkd", "dist")),
    ]
    first = table.iloc[0]
    assert (first["alone"], first["with"], first["gain"]) == pytest.approx((70.2, 71.3, 1.1))
    assert first["keys_with"] == ("kd+cmkd0", "kd+cmkd1")
    rows = wide(table)
    assert rows["alone"].tolist() == ["70.20 ± 0.28 (2)", "-"]
    assert rows["+ dist"].tolist() == ["70.50 (1)", "-"]
    assert rows["gain of dist"].tolist() == ["+0.50 (1)", "-"]
    assert rows["gain of cmkd"][0].startswith("+1.10 [")


def test_the_script_writes_the_table_of_its_grid_alone(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("plug_in", ROOT / "paper_tables/plug_in.py")
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    runs = expand("plug-in", DEMO, Choice(methods=("kd",), trials=2))
    files = script.write(results_of("plug-in", DEMO, finished(*runs)), tmp_path)
    assert [path.name for path in files] == ["plug_in.md", "plug_in.tex", "plug_in.csv"]
    text = (tmp_path / "plug_in.md").read_text()
    assert "Profile demo, not the paper's protocol" in text
    assert "crd" in text  # not trained: a row of "-", not left out
    demo = expand("demo", DEMO, Choice(trials=1))
    assert script.write(results_of("demo", DEMO, finished(*demo)), tmp_path) == []


def test_latex_and_csv_hold_the_same_numbers() -> None:
    results = made(kd=[70.0, 70.4], **{"kd+cmkd": [71.0, 71.6]})
    table = plug_in_table(results, [PAIR], ["kd", "kd+cmkd"], PLUGGED_IN)
    files = plug_in_files(table, "Plug-ins", ["mark"])
    assert all("71.3" in text for text in files.values())
    assert all("mark" in text for text in files.values())
