"""C1: the gain against the teacher's top-1, over teachers and for these teachers."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from repro.analysis.slopes import ends, method_slope, slope
from tests.analysis.made_pairs import ARMS, pair_of

TOP1 = {"a": 72.0, "b": 74.0, "c": 75.0, "d": 77.0, "e": 79.0}
GAINS = {"a": 0.1, "b": 0.3, "c": 0.2, "d": 0.6, "e": 0.9}
NOISE = np.array([-0.1, 0.0, 0.1])
PAIRS = {f"{t}:s": pair_of(*(gain + NOISE)) for t, gain in GAINS.items()}


def test_in_general_it_is_least_squares_over_teachers() -> None:
    expected = stats.linregress(list(TOP1.values()), list(GAINS.values()))
    found = slope(PAIRS, ARMS, teacher_top1=TOP1, scope="in general")
    assert found.estimate == pytest.approx(expected.slope)
    assert found.standard_error == pytest.approx(expected.stderr)
    assert (found.p, found.df) == (pytest.approx(expected.pvalue), 3)
    assert (found.formula, found.scope, found.counts.trials) == ("F6", "in general", 3)
    assert found.is_run


def test_of_these_teachers_only_trials_are_noise() -> None:
    found = slope(PAIRS, ARMS, teacher_top1=TOP1, scope="these teachers")
    squares = 5 * np.var(list(TOP1.values()))
    assert found.standard_error == pytest.approx(np.sqrt(0.01 / (3 * squares)))
    assert (found.df, found.scope) == (10, "these teachers")


def test_students_of_a_teacher_are_averaged_first() -> None:
    other = {f"{t}:u": pair_of(*(gain + 1 - NOISE), 7.0) for t, gain in GAINS.items()}
    one = slope(PAIRS, ARMS, teacher_top1=TOP1, scope="in general")
    two = slope(PAIRS | other, ARMS, teacher_top1=TOP1, scope="in general")
    assert (two.estimate, two.standard_error) == pytest.approx((one.estimate, one.standard_error))
    assert (two.counts.students, two.counts.trials, two.df) == (2, 3, 3)
    exact = slope(PAIRS | other, ARMS, teacher_top1=TOP1, scope="these teachers")
    assert exact.standard_error == pytest.approx(0, abs=1e-9)  # their noises cancel


def test_four_teachers_decide_for_themselves_alone() -> None:
    pairs = {pair: trials for pair, trials in PAIRS.items() if pair != "e:s"}
    general = slope(pairs, ARMS, teacher_top1=TOP1, scope="in general")
    assert not math.isnan(general.estimate)
    assert not general.is_run
    assert slope(pairs, ARMS, teacher_top1=TOP1, scope="these teachers").is_run


def test_teachers_that_are_alike_or_alone_have_no_slope() -> None:
    alike = dict.fromkeys(TOP1, 75.0)
    for pairs, top1 in ((PAIRS, alike), ({"a:s": PAIRS["a:s"]}, TOP1), ({}, TOP1)):
        for scope in ("in general", "these teachers"):
            found = slope(pairs, ARMS, teacher_top1=top1, scope=scope)  # type: ignore[arg-type]
            assert math.isnan(found.estimate)
            assert not found.is_run


def test_what_has_not_run_is_named() -> None:
    pairs = PAIRS | {"b:s": pair_of(1.0, 1.0), "c:s": pd.DataFrame({"kd": [70.0, 70, 70]})}
    top1 = TOP1 | {"d": math.nan}
    found = slope(pairs, ARMS, teacher_top1=top1, scope="these teachers")
    assert found.counts.missing == ("b:s", "c:s", "d:s")
    assert found.counts.pairs == 2


def test_each_method_has_a_slope_of_its_own() -> None:
    single = [
        method_slope(PAIRS, method, teacher_top1=TOP1, scope="in general").estimate
        for method in ARMS
    ]
    both = slope(PAIRS, ARMS, teacher_top1=TOP1, scope="in general").estimate
    assert single[0] - single[1] == pytest.approx(both)


def test_the_ends_are_best_minus_weakest_teacher() -> None:
    found = ends(PAIRS, ARMS, teacher_top1=TOP1)
    assert found.estimate == pytest.approx(0.8)
    assert found.standard_error == pytest.approx(np.sqrt(0.01 * 2 / 3))
    assert not ends({"a:s": PAIRS["a:s"]}, ARMS, teacher_top1=TOP1).is_run
