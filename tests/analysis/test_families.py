"""Holm by hand, the conjunction, and pairs that go the other way."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro.analysis.families import adjust, all_positive, holm, reversed_cells
from tests.analysis.made_pairs import estimate

PS = st.lists(st.floats(0, 1), min_size=1, max_size=9)


def test_holm_by_hand() -> None:
    # 0.01 * 4, max(0.02 * 3, 0.04), max(0.03 * 2, 0.06), max(0.9, 0.06)
    assert holm([0.02, 0.9, 0.01, 0.03]) == pytest.approx([0.06, 0.9, 0.04, 0.06])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])


def test_a_missing_comparison_counts_in_the_size_of_its_family() -> None:
    adjusted = holm([math.nan, 0.01, 0.03])
    assert adjusted[1:] == pytest.approx([0.03, 0.06])
    assert math.isnan(adjusted[0])


def test_families_are_rows() -> None:
    rows = np.random.default_rng(0).uniform(size=(4, 5))
    assert holm(rows) == pytest.approx(np.array([holm(row) for row in rows]))


@given(PS)
def test_holm_stays_between_the_raw_and_bonferroni_and_keeps_the_order(ps) -> None:
    adjusted = holm(ps)
    assert (adjusted >= np.array(ps)).all()
    assert (adjusted <= np.minimum(1, len(ps) * np.array(ps)) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(ps)]) >= 0).all()


@given(PS, st.randoms())
def test_the_order_of_a_family_is_nothing(ps, random) -> None:
    order = list(range(len(ps)))
    random.shuffle(order)
    assert holm([ps[i] for i in order]) == pytest.approx(holm(ps)[order])


def test_each_kind_of_p_has_its_own_correction() -> None:
    family = {"a": estimate(1.0, 0.1), "b": estimate(-0.2, 0.1), "c": estimate(0.1, 0.1, trials=2)}
    adjusted = adjust(family, 0.3)
    a, b, c = adjusted.values()
    assert a.p_holm == pytest.approx(3 * family["a"].p)
    assert b.p_holm == pytest.approx(2 * family["b"].p)
    assert b.p_effect_holm == pytest.approx(3 * family["b"].p_at_least(0.3))
    assert a.p_effect == pytest.approx(family["a"].p_at_least(0.3))
    assert math.isnan(c.p)  # two trials: not run
    assert {one.size for one in adjusted.values()} == {3}


def test_a_conjunction_needs_every_comparison_without_a_correction() -> None:
    weak = estimate(0.22, 0.1)  # t = 2.2 with 16 df: p = 0.043
    assert weak.p == pytest.approx(0.0429, abs=1e-4)
    assert all_positive([weak] * 8)
    assert not all_positive([estimate(1.0, 0.1), estimate(0.2, 0.1)])
    assert not all_positive([estimate(1.0, 0.1), estimate(-1.0, 0.1)])
    assert not all_positive([estimate(1.0, 0.1), estimate(math.nan, math.nan)])
    assert not all_positive([])


def test_reversed_cells_are_those_below_zero_after_holm() -> None:
    cells = {"a": estimate(-1, 0.1), "b": estimate(-0.22, 0.1), "c": estimate(1, 0.1)}
    assert reversed_cells(cells) == ("a", "b")  # 0.043 is the last of three steps
    assert reversed_cells(cells | {"c": estimate(0.1, 0.1)}) == ("a",)
    assert reversed_cells({}) == ()
