"""One cell, these pairs, pairs in general: by hand, by SciPy, and what must not change them."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from repro.analysis.estimates import Estimate, cell, in_general, these_pairs
from tests.analysis.made_pairs import ARMS, drawn, pair_of

TRIALS = pd.DataFrame(
    {"kd": [70.0, 70.4, 70.2], "cmkd": [71.0, 71.5, 71.1], "dkd": [70.9, 71.2, 71.3]}
)
SEEDS = st.integers(0, 10_000)


def test_two_methods_give_the_paired_t_interval_of_scipy() -> None:
    two = TRIALS[["kd", "cmkd"]]
    expected = stats.ttest_rel(two["cmkd"], two["kd"])
    found = cell(two, ARMS)
    assert found.estimate == pytest.approx(1.0)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval(0.95)))
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.formula, found.scope) == ("F1", "these pairs")
    assert (found.counts.pairs, found.counts.trials, found.counts.runs) == (1, 3, 6)


def test_more_methods_lend_their_residuals() -> None:
    """By hand: residuals of the two-way table, (3 - 1)(3 - 1) = 4 degrees of freedom."""
    table = TRIALS.to_numpy()
    residuals = table - table.mean(0) - table.mean(1)[:, None] + table.mean()
    variance = 2 * (residuals**2).sum() / 4
    assert variance > (TRIALS["cmkd"] - TRIALS["kd"]).var(ddof=1)
    found = cell(TRIALS, ARMS)
    assert found.interval() == pytest.approx(stats.t.interval(0.95, 4, 1.0, np.sqrt(variance / 3)))
    assert found.variance == pytest.approx(variance)


def test_a_noisier_pair_keeps_its_own_spread() -> None:
    trials = TRIALS.assign(cmkd=[71.0, 74.0, 69.0])
    calm = trials.assign(a=trials["kd"] + 1, b=trials["kd"] + 2, c=trials["kd"] + 3)
    difference = calm["cmkd"] - calm["kd"]
    found = cell(calm, ARMS)
    error = np.sqrt(difference.var(ddof=1) / 3)
    assert found.low == pytest.approx(found.estimate - stats.t.ppf(0.975, 10) * error)


def test_a_missing_trial_leaves_that_trial_out_of_both_arms() -> None:
    trials = pd.DataFrame({"kd": [70.0, 70.4, np.nan], "cmkd": [71.0, 71.6, 60.0]})
    found = cell(trials, ARMS)
    assert (found.estimate, found.counts.trials) == (pytest.approx(1.1), 2)
    assert not found.is_run  # it has an interval, of two trials
    one = cell(trials[:1], ARMS)
    assert (one.estimate, one.counts.trials) == (pytest.approx(1.0), 1)
    assert np.isnan([one.low, one.high, one.p, one.df, one.p_at_least(0.3)]).all()


def test_a_missing_arm_is_not_run() -> None:
    found = cell(TRIALS, ("kd", "dist"))
    assert math.isnan(found.estimate)
    assert (found.is_run, found.counts.trials, found.counts.runs) == (False, 0, 0)


def test_a_method_with_fewer_trials_changes_nothing() -> None:
    """Such as the teacher, of which there is one."""
    more = TRIALS.assign(teacher=[75.0, np.nan, np.nan], late=[np.nan, 70.0, 71.0])
    assert cell(more, ARMS) == cell(TRIALS, ARMS)


def test_these_pairs_weigh_the_same_whatever_their_trials() -> None:
    """By hand: variances 0.01 and 0.02 / 3; SE^2 = (0.01 / 3 + 0.02 / 3 / 4) / 4, df = 2 + 3."""
    pairs = {"t:a": pair_of(0.9, 1.0, 1.1), "t:b": pair_of(0.4, 0.5, 0.5, 0.6)}
    found = these_pairs(pairs, ARMS)
    assert found.estimate == pytest.approx(0.75)
    assert found.standard_error == pytest.approx(np.sqrt((0.01 / 3 + 0.02 / 3 / 4) / 4))
    assert found.variance == pytest.approx((0.01 + 0.02 / 3) / 2)
    assert (found.df, found.formula, found.scope) == (5, "F2", "these pairs")
    assert dataclasses.astuple(found.counts) == (2, 2, 3, 14, ())


def test_one_pair_is_the_cell_of_all_its_methods() -> None:
    assert these_pairs({"t:a": TRIALS}, ARMS) == cell(TRIALS, ARMS)


def test_a_pair_without_three_trials_has_not_run() -> None:
    pairs = {"t:a": pair_of(0.9, 1.0, 1.1), "t:b": pair_of(5.0, 5.1), "t:c": TRIALS[["kd"]]}
    found = these_pairs(pairs, ARMS)
    assert found.estimate == pytest.approx(1.0)
    assert found.counts.missing == ("t:b", "t:c")
    nothing = these_pairs({"t:b": pairs["t:b"]}, ARMS)
    assert not nothing.is_run
    assert math.isnan(nothing.estimate)
    assert math.isnan(in_general({}, ARMS).estimate)


def shared_students() -> dict[str, pd.DataFrame]:
    means = {"t:a": 1.0, "u:a": 3.0, "t:b": 0.5, "t:c": 1.5, "t:d": 1.0, "t:e": 0.0}
    return {pair: pair_of(m - 0.1, m, m + 0.1) for pair, m in means.items()}


def test_in_general_a_student_counts_once() -> None:
    expected = stats.ttest_1samp([2.0, 0.5, 1.5, 1.0, 0.0], 0)
    found = in_general(shared_students(), ARMS)
    assert found.estimate == pytest.approx(1.0)
    assert (found.p, found.df) == (pytest.approx(expected.pvalue), 4)
    assert (found.counts.pairs, found.counts.students, found.counts.runs) == (6, 5, 36)


def test_by_pair_every_pair_counts() -> None:
    expected = stats.ttest_1samp([1.0, 3.0, 0.5, 1.5, 1.0, 0.0], 0)
    found = in_general(shared_students(), ARMS, by="pair")
    assert (found.p, found.formula) == (pytest.approx(expected.pvalue), "F3 by pair")


def test_a_new_pair_is_predicted_with_the_spread_over_pairs() -> None:
    found = in_general(shared_students(), ARMS)
    tau = np.sqrt(np.var([1.0, 3.0, 0.5, 1.5, 1.0, 0.0], ddof=1) - 0.01 / 3)
    assert found.tau == pytest.approx(tau)
    sem = stats.sem([2.0, 0.5, 1.5, 1.0, 0.0])
    assert found.prediction == pytest.approx(stats.t.interval(0.95, 4, 1.0, np.hypot(sem, tau)))


def test_four_students_are_no_sample_of_pairs_in_general() -> None:
    pairs = shared_students()
    del pairs["t:e"]
    found = in_general(pairs, ARMS)
    assert found.estimate == pytest.approx(1.25)
    assert math.isnan(found.low)
    assert not found.is_run
    assert np.isnan(found.prediction).all()


RULES = {
    "F1": lambda pairs, arms: cell(pairs["t0:s0"], arms),
    "F2": these_pairs,
    "F3": in_general,
}


def numbers(found: Estimate) -> list[float]:
    return [found.estimate, found.low, found.high, found.p, found.df]


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@settings(deadline=None, max_examples=15)
@given(seed=SEEDS, shift=st.floats(-3, 3), scale=st.floats(0.1, 10))
def test_intervals_move_and_stretch_with_the_data(rule, seed, shift, scale) -> None:
    pairs = drawn(seed)
    first = rule(pairs, ARMS)
    moved = {p: t.assign(cmkd=t["cmkd"] + shift) for p, t in pairs.items()}
    stretched = {p: 50 + scale * t for p, t in pairs.items()}
    a, b = rule(moved, ARMS), rule(stretched, ARMS)
    assert [a.estimate, a.low, a.high] == pytest.approx(
        [first.estimate + shift, first.low + shift, first.high + shift], abs=1e-9
    )
    assert [b.estimate, b.low, b.high] == pytest.approx(
        [scale * first.estimate, scale * first.low, scale * first.high], abs=1e-9
    )
    assert b.p == pytest.approx(first.p)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@settings(deadline=None, max_examples=15)
@given(seed=SEEDS)
def test_swapping_the_arms_turns_the_sign_and_nothing_else(rule, seed) -> None:
    pairs = drawn(seed)
    a, b = rule(pairs, ARMS), rule(pairs, ARMS[::-1])
    assert numbers(b) == pytest.approx([-a.estimate, -a.high, -a.low, a.p, a.df])
    assert a.p_at_least(0.3) == pytest.approx(1 - b.statistic.p_at_least(-0.3))


@settings(deadline=None, max_examples=15)
@given(seed=SEEDS, order=st.permutations(range(8)))
def test_the_order_of_pairs_trials_and_methods_is_nothing(seed, order) -> None:
    pairs = drawn(seed)
    names = list(pairs)
    mixed = {names[i]: pairs[names[i]].iloc[::-1][["dkd", "cmkd", "kd"]] for i in order}
    for rule in RULES.values():
        assert numbers(rule(mixed, ARMS)) == pytest.approx(numbers(rule(pairs, ARMS)))
