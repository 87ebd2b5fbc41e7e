"""What is printed beside an interval."""

import math

import numpy as np
import pandas as pd
import pytest

from repro.analysis.estimates import in_general, these_pairs
from repro.analysis.sensitivity import (
    image_sampling_error,
    leave_one_out,
    positive_pairs,
    within_trials,
)
from tests.analysis.made_pairs import ARMS, drawn, pair_of


def test_pairs_with_a_positive_mean_are_counted() -> None:
    pairs = {"t:a": pair_of(0.1, 0.2, 0.0), "t:b": pair_of(-1.0, 0.5, 0.1), "t:c": pair_of(9, 9)}
    assert positive_pairs(pairs, ARMS) == (1, 2)
    assert positive_pairs({}, ARMS) == (0, 0)


@pytest.mark.parametrize("rule", [these_pairs, in_general])
def test_leaving_out_one_pair_gives_a_range_of_lower_bounds(rule) -> None:
    pairs = drawn(3, students=8)
    lows = [rule({p: t for p, t in pairs.items() if p != out}, ARMS).low for out in pairs]
    assert leave_one_out(pairs, ARMS, rule=rule) == (min(lows), max(lows))


def test_one_pair_or_too_few_students_leave_nothing() -> None:
    assert np.isnan(leave_one_out({"t:a": pair_of(1, 2, 3)}, ARMS)).all()
    assert np.isnan(leave_one_out(drawn(3, students=5, pairs=5), ARMS, rule=in_general)).all()


def test_the_correlation_within_trials_by_hand() -> None:
    # MS of trials 2, residual 0: every method moves alike
    alike = pd.DataFrame({"kd": [1.0, 2.0, 3.0], "cmkd": [2.0, 3.0, 4.0]})
    assert within_trials(alike, ARMS) == pytest.approx((0.0, 1.0))
    opposed = pd.DataFrame({"kd": [1.0, 2.0, 3.0], "cmkd": [3.0, 2.0, 1.0]})
    assert within_trials(opposed, ARMS) == pytest.approx((2.0, -1.0))


def test_the_correlation_of_many_trials_is_that_of_the_model() -> None:
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=(20_000, 1)), rng.normal(size=(20_000, 3))
    y = 0.25 * (math.sqrt(0.3) * shared + math.sqrt(0.7) * own)
    found = within_trials(pd.DataFrame(y, columns=["kd", "cmkd", "dkd"]), ARMS)
    assert found == pytest.approx((0.0625 * 0.7, 0.3), abs=0.01)


def test_too_little_has_no_correlation() -> None:
    assert np.isnan(within_trials(pair_of(1.0), ARMS)).all()
    assert math.isnan(within_trials(pair_of(0.0, 0.0) * 0, ARMS).correlation)


def test_15_percent_discordant_images_carry_039_points() -> None:
    first, second = np.zeros((1, 10_000), bool), np.zeros((1, 10_000), bool)
    first[0, :750], second[0, 750:1500] = True, True
    assert image_sampling_error(first, second) == pytest.approx(0.387, abs=0.001)
    assert image_sampling_error(first, first) == 0


def test_trials_are_averaged_before_images() -> None:
    first = np.array([[True, False, True], [True, True, False]])
    second = np.array([[False, False, True]])
    # 100 (1, 0.5, -0.5): sd 76.38 over three images
    assert image_sampling_error(first, second) == pytest.approx(76.376 / math.sqrt(3), abs=1e-3)
