"""How many more: worked examples, and differences found with 80 % power."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from repro.analysis.estimates import cell, in_general, these_pairs
from repro.analysis.plane_estimates import planes
from repro.analysis.planning import (
    detectable,
    needed,
    students_for_verdict,
    trials_for_power,
    trials_for_verdict,
    trials_in_general,
)
from repro.analysis.slopes import slope
from tests.analysis.made_pairs import ARMS, drawn, estimate, pair_of

SPREAD = 0.25 * math.sqrt(2 * 0.7)  # of a paired difference at a correlation of 0.3


@pytest.mark.parametrize(("effect", "likely", "sure"), [(0.5, 5, 6), (0.3, 10, 16), (0.2, 20, 34)])
def test_trials_of_a_cell_of_nine_methods(effect: float, likely: int, sure: int) -> None:
    assert trials_for_power(SPREAD, effect) == likely
    assert trials_for_verdict(SPREAD, effect, df_per_trial=8) == sure


@pytest.mark.parametrize(("pairs", "trials"), [(12, 4), (6, 7), (2, 19)])
def test_trials_of_these_pairs(pairs: int, trials: int) -> None:
    assert trials_for_verdict(SPREAD, 0.2, df_per_trial=pairs, pairs=pairs) == trials
    half = [
        stats.t.ppf(0.975, pairs * (t - 1)) * SPREAD / math.sqrt(pairs * t)
        for t in (trials - 1, trials)
    ]
    assert half[0] > 0.1 >= half[1]


def test_students_where_no_number_of_trials_decides() -> None:
    assert trials_in_general(SPREAD, 0.3, tau=0.4, students=29) == math.inf
    assert students_for_verdict(0.4, 0.3) == 30
    assert students_for_verdict(0.4, 0.3, spread=SPREAD, trials=5) == 33
    assert trials_in_general(SPREAD, 0.3, tau=0.4, students=33) == 5


def test_a_family_needs_more() -> None:
    for count in (trials_for_power(SPREAD, 0.3, comparisons=8),):
        z = stats.norm.ppf(1 - 0.05 / 16)
        assert count == math.ceil(((z + 0.8416) * SPREAD / 0.3) ** 2 + z**2 / 2)
    assert trials_for_verdict(SPREAD, 0.3, df_per_trial=8, comparisons=8) > 16
    assert students_for_verdict(0.4, 0.3, comparisons=8) > 30


def test_no_plan_has_fewer_trials_or_students_than_a_verdict_needs() -> None:
    assert trials_for_power(0.01, 1.0) == 3
    assert trials_for_verdict(0.01, 1.0, df_per_trial=8) == 3
    assert trials_in_general(0.01, 1.0, tau=0.0, students=9) == 3
    assert students_for_verdict(0.01, 1.0) == 5


def test_beyond_reach_is_infinite() -> None:
    assert trials_for_verdict(1.0, 1e-4, df_per_trial=8) == math.inf


@given(st.floats(0.05, 2), st.floats(0.1, 1), st.integers(1, 12))
def test_the_plan_is_the_first_number_that_is_enough(spread, effect, pairs) -> None:
    trials = trials_for_verdict(spread, effect, df_per_trial=pairs, pairs=pairs)

    def half(count: float) -> float:
        return stats.t.ppf(0.975, pairs * (count - 1)) * spread / math.sqrt(pairs * count)

    assert half(trials) <= effect / 2 * (1 + 1e-9)
    assert trials == 3 or half(trials - 1) > effect / 2 * (1 - 1e-9)


# Differences found with 80 % power on P pairs: F2, and F3 at T=5 alone and as the first of eight.
THESE = {2: (0.45, 0.30, 0.20), 6: (0.21, 0.16, 0.11), 12: (0.14, 0.11, 0.08)}
GENERAL = {
    (5, 0.2): (0.40, 0.71),
    (5, 0.4): (0.71, 1.25),
    (5, 0.6): (1.03, 1.83),
    (6, 0.2): (0.34, 0.56),
    (6, 0.4): (0.60, 0.99),
    (6, 0.6): (0.88, 1.44),
    (9, 0.2): (0.26, 0.38),
    (9, 0.4): (0.45, 0.66),
    (9, 0.6): (0.66, 0.96),
    (12, 0.2): (0.21, 0.30),
    (12, 0.4): (0.37, 0.53),
    (12, 0.6): (0.55, 0.77),
    (2, 0.2): (2.8, math.nan),
}


@pytest.mark.parametrize(("pairs", "expected"), THESE.items())
def test_detectable_on_these_pairs(pairs: int, expected: tuple[float, ...]) -> None:
    found = [
        detectable(estimate(0, SPREAD / math.sqrt(pairs * t), df=pairs * (t - 1)))
        for t in (3, 5, 10)
    ]
    assert found == pytest.approx(expected, abs=0.0051)


@pytest.mark.parametrize(("case", "expected"), GENERAL.items())
def test_detectable_in_general(case: tuple[int, float], expected: tuple[float, float]) -> None:
    students, tau = case
    error = math.sqrt((tau**2 + SPREAD**2 / 5) / students)
    found = estimate(0, error, df=students - 1)
    rounding = 0.05 if students == 2 else 0.0051
    assert detectable(found) == pytest.approx(expected[0], abs=rounding)
    if not math.isnan(expected[1]):
        assert detectable(found, comparisons=8) == pytest.approx(expected[1], abs=0.0051)


def test_detectable_has_80_percent_power_by_the_noncentral_t() -> None:
    found = estimate(0, 0.2, df=11)
    noncentral, quantile = detectable(found) / 0.2, stats.t.ppf(0.975, 11)
    assert stats.nct.sf(quantile, 11, noncentral) == pytest.approx(0.8, abs=1e-6)
    assert math.isnan(detectable(estimate(0, math.nan)))


def test_what_is_needed_is_the_plan_of_the_estimate() -> None:
    pairs = drawn(0, pairs=12, students=12)
    one = cell(pairs["t0:s0"], ARMS)
    sure = trials_for_verdict(math.sqrt(one.variance), 0.1, df_per_trial=2)
    likely = trials_for_power(math.sqrt(one.variance), 0.1)
    assert needed(one, 0.1).words == f"{sure:.0f} trials in all ({likely} for 80 % power)"
    all_of = these_pairs(pairs, ARMS)
    sure = trials_for_verdict(math.sqrt(all_of.variance), 0.1, df_per_trial=12, pairs=12)
    assert needed(all_of, 0.1).words == f"{sure:.0f} trials in all"


def test_more_trials_do_not_reduce_what_planes_share() -> None:
    """By hand: SE^2 at T trials is MS_T / (J T) + sigma_J^2 / J, and sigma_J does not fall."""
    rng = np.random.default_rng(2)
    plane = np.array([-0.2, -0.1, 0, 0.1, 0.2, 0.3])
    table = 0.1 + plane + rng.normal(0, 0.1, (5, 1)) + rng.normal(0, 0.01, (5, 6))
    found = planes({"t:s": pd.DataFrame(table)})
    assert found.shared == pytest.approx(plane.var(ddof=1) / 6, rel=0.1)
    half_of_shared = stats.t.ppf(0.975, 1_000) * math.sqrt(found.shared)
    assert needed(found, 1.5 * half_of_shared).words == "no affordable number of trials"
    effect = 2.5 * half_of_shared
    trials = int(needed(found, effect).words.partition(" trials in all")[0])
    per_trial = max(1, round(found.df / 4))
    at = [
        2
        * stats.t.ppf(0.975, per_trial * (t - 1))
        * math.sqrt((found.standard_error**2 - found.shared) * 5 / t + found.shared)
        for t in (trials - 1, trials)
    ]
    assert at[1] <= effect < at[0]


def test_what_is_needed_in_general() -> None:
    wide = {
        f"t:s{i}": pair_of(*(gain + np.array([-0.1, 0, 0.1]))) for i, gain in enumerate(range(6))
    }
    found = in_general(wide, ARMS)
    assert needed(found, 0.3).words.startswith("no number of trials decides this; needs ")
    close = in_general(drawn(1, trials=3), ARMS)
    assert " trials in all, or " in needed(close, 1.0).words
    top1 = {f"t{i}": 70.0 + i for i in range(8)}
    over = slope(drawn(1), ARMS, teacher_top1=top1, scope="in general")
    assert needed(over, 0.05).words == "more teachers, not trials"
    assert needed(estimate(math.nan, math.nan), 0.3).words == "at least 3 trials of both arms"
