"""The forest plot's rows are F1, F2 and F3; its figure shows a panel a comparison."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from figures import forest
from repro.analysis.forest import GENERAL, MEAN, forest_table
from repro.grid import Choice, expand
from tests.analysis.made_pairs import drawn, pair_of
from tests.made_results import DEMO, finished, results_of

ARMS = {"cmkd - kd": ("cmkd", "kd")}


def test_a_pair_is_the_paired_t_test_and_the_mean_is_by_hand() -> None:
    pairs = {"a:s": pair_of(0.5, 0.9, 0.4, 0.7), "b:t": pair_of(0.1, -0.2, 0.3, 0.1)}
    table = forest_table(pairs, ARMS, 0.2).set_index("pair")
    assert list(table.index) == ["a:s", "b:t", MEAN]
    assert list(table["rule"]) == ["F1", "F1", "F2"]
    expected = stats.ttest_rel(pairs["a:s"]["cmkd"], pairs["a:s"]["kd"]).confidence_interval()
    assert tuple(table.loc["a:s", ["low95", "high95"]]) == pytest.approx(tuple(expected))
    variances = [np.var([0.5, 0.9, 0.4, 0.7], ddof=1), np.var([0.1, -0.2, 0.3, 0.1], ddof=1)]
    half = stats.t.ppf(0.975, 6) * np.sqrt(sum(variances) / 4) / 2
    mean = (0.625 + 0.075) / 2
    assert table.loc[MEAN, "difference"] == pytest.approx(mean)
    assert tuple(table.loc[MEAN, ["low95", "high95"]]) == pytest.approx((mean - half, mean + half))


def test_new_pairs_stand_below_from_five_students_on() -> None:
    arms = {"cmkd - kd": ("cmkd", "kd"), "cmkd - dkd": ("cmkd", "dkd")}
    table = forest_table(drawn(0), arms, 0.2)
    assert list(dict.fromkeys(table["pair"]))[-2:] == [MEAN, GENERAL]
    assert set(table["family"]) == {2}
    assert GENERAL not in set(forest_table(drawn(0, students=4), arms, 0.2)["pair"])


def test_one_pair_has_no_mean_and_what_was_not_run_has_no_row() -> None:
    arms = {**ARMS, "cmkd - dkd": ("cmkd", "dkd")}
    table = forest_table({"a:s": pair_of(0.5, 0.9, 0.4)}, arms, 0.2)
    assert list(table["comparison"]) == ["cmkd - kd"]
    assert list(table["pair"]) == ["a:s"]
    assert forest_table({}, ARMS, 0.2).empty


def made(grid: str, methods: tuple[str, ...]) -> object:
    runs = expand(grid, DEMO, Choice(methods=methods, trials=3))
    rng = np.random.default_rng(0)
    table = finished(*runs).assign(top1_last10=rng.normal(70, 1, len(runs)))
    return results_of(grid, DEMO, table)


def test_the_figure_compares_cmkd_with_each_method(tmp_path: Path) -> None:
    written = forest.write(made("demo", ("kd", "dist", "cmkd")), tmp_path)
    path = written[2]
    assert [p.name for p in written] == [f"forest-demo{s}" for s in (".pdf", ".png", ".csv")]
    table = pd.read_csv(path, comment="#")
    assert list(table["comparison"]) == ["cmkd - kd", "cmkd - dist"]
    assert DEMO.mark in path.read_text()


def test_plug_ins_are_compared_with_the_method_alone(tmp_path: Path) -> None:
    *_, path = forest.write(made("plug-in", ("kd", "dkd")), tmp_path)
    names = list(pd.read_csv(path, comment="#")["comparison"])
    assert names == ["kd+cmkd - kd", "dkd+cmkd - dkd"]


def test_without_cmkd_or_in_the_ablation_there_is_none(tmp_path: Path) -> None:
    assert forest.write(made("demo", ("kd", "dist")), tmp_path) == []
    assert forest.write(made("ablation", ("kd", "cmkd")), tmp_path) == []
