import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from repro.analysis.accuracy import METRICS, by_teacher, cell_runs, comparison_table, summarise
from repro.errors import UserError
from tests.analysis.conftest import make_runs

PAIR = "resnet56:resnet20"


def cell(table, pair, method):
    return table[(table["pair"] == pair) & (table["method"] == method)].iloc[0]


def test_summary_equals_numpy_and_scipy(results):
    row = cell(summarise(results), PAIR, "kd")
    values = np.array([70.6, 70.8, 71.0])
    assert row["mean"] == pytest.approx(values.mean())
    assert row["std"] == pytest.approx(values.std(ddof=1))
    assert row["n"] == 3
    assert row["ci95"] == pytest.approx(stats.t.ppf(0.975, 2) * stats.sem(values))
    assert row["run_ids"] == tuple(f"run-{PAIR}-kd-{i}" for i in range(3))


def test_one_run_has_no_std_and_no_interval(results):
    row = cell(summarise(results), "resnet32x4:resnet8x4", "kd")
    assert row["n"] == 1
    assert math.isnan(row["std"])
    assert math.isnan(row["ci95"])


def test_no_runs_give_an_empty_summary_with_its_columns(results):
    assert {"pair", "method", "mean", "ci95"} <= set(summarise(results.iloc[:0]).columns)


def test_a_diverged_run_is_not_dropped_silently():
    row = summarise(make_runs(PAIR, "kd", [70.0, math.nan])).iloc[0]
    assert row["n"] == 2
    assert math.isnan(row["mean"])


def test_an_unknown_metric_is_an_error(results):
    with pytest.raises(UserError, match="unknown metric 'top5'"):
        summarise(results, "top5")


def test_two_different_runs_of_one_trial_are_an_error(results):
    other = make_runs(PAIR, "kd", [60.0]).assign(key="another")
    with pytest.raises(UserError, match="several runs of trial 0"):
        summarise(pd.concat([results, other]))


def test_the_same_run_listed_twice_counts_once(results):
    table = summarise(pd.concat([results, results]))
    assert cell(table, PAIR, "kd")["n"] == 3


def test_a_cell_holds_the_runs_labelled_with_its_pair_and_method(results):
    assert list(cell_runs(results, PAIR, "ce")["top1_last"]) == [69.0, 69.2, 69.4]
    assert list(cell_runs(results, PAIR, "kd")["top1_last"]) == [70.6, 70.8, 71.0]
    for pair in (PAIR, "resnet56:resnet32", "resnet56"):
        assert list(cell_runs(results, pair, "teacher")["top1_last"]) == [72.4]


def test_no_run_of_another_cell_fills_a_missing_baseline(results):
    """A teacher may have trained longer, a baseline of another pair may be of another grid."""
    assert cell_runs(results, "resnet110:resnet56", "ce").empty  # resnet56 is a teacher only
    assert cell_runs(results, "resnet110:resnet20", "ce").empty
    assert cell_runs(results, "resnet20:resnet8", "teacher").empty  # resnet20 is a baseline only


def test_ours_follows_the_protocol_of_the_published_row(results, published):
    table = comparison_table(results, published, pairs=[PAIR], methods=["kd", "dkd", "dist"])
    kd, dkd = cell(table, PAIR, "kd"), cell(table, PAIR, "dkd")
    assert (kd["published_epoch"], kd["metric"]) == ("last", "top1_last")
    assert kd["published_top1"] == 70.66
    assert kd["difference"] == pytest.approx(70.8 - 70.66)
    assert (dkd["published_epoch"], dkd["metric"]) == ("best", "top1_best")
    assert dkd["mean"] == pytest.approx(72.1)
    assert dkd["published_others"] > 0


def test_missing_cells_stay_as_rows(results, published):
    pairs, methods = [PAIR, "vgg13:vgg8"], ["teacher", "ce", "kd", "cmkd"]
    table = comparison_table(results, published, pairs=pairs, methods=methods)
    assert len(table) == 8
    ours_missing, both_missing = cell(table, "vgg13:vgg8", "kd"), cell(table, PAIR, "cmkd")
    assert ours_missing["n"] == 0
    assert math.isnan(ours_missing["mean"])
    assert math.isnan(ours_missing["difference"])
    assert ours_missing["published_top1"] == 72.98
    assert math.isnan(both_missing["published_top1"])
    assert both_missing["published_source"] == ""
    assert both_missing["keys"] == ()


def test_runs_of_another_dataset_do_not_count(results, published):
    table = comparison_table(results, published, pairs=[PAIR], methods=["kd"], dataset="digits")
    assert table["n"].tolist() == [0]
    assert table["published_top1"].isna().all()


def test_by_teacher_takes_the_teachers_trial_0():
    results = pd.concat(
        [
            make_runs("resnet56", "teacher", [72.4, 99.0]),
            make_runs("resnet56:resnet20", "kd", [70.6, 70.8]),
            make_runs("resnet110:resnet20", "kd", [70.0, 70.4]),
            make_runs("resnet56:resnet32", "kd", [73.0]),
        ]
    )
    for metric in METRICS:  # a teacher's is that of the weights that taught, in any case
        table = by_teacher(results.assign(top1_best=90.0, top1_last10=80.0), "resnet20", metric)
        assert table["teacher_top1"].tolist()[0] == 72.4
    table = by_teacher(results, "resnet20")
    assert list(table["teacher"]) == ["resnet56", "resnet110"]
    assert table["teacher_top1"].tolist()[0] == 72.4
    assert math.isnan(table["teacher_top1"].tolist()[1])
    assert table["mean"].tolist() == pytest.approx([70.7, 70.2])
