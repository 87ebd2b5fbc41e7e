"""The formulas against SciPy and by hand."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from repro.analysis import rules
from repro.analysis.rules import Statistic

RNG = np.random.default_rng(0)


def test_the_interval_and_both_p_values_agree_with_scipy() -> None:
    found = Statistic(np.array(0.4), np.array(0.2), 7)
    assert found.bounds(0.9) == pytest.approx(stats.t.interval(0.9, 7, 0.4, 0.2))
    assert found.p() == pytest.approx(2 * stats.t.sf(2.0, 7))
    assert found.p_at_least(0.5) == pytest.approx(stats.t.cdf(-0.5, 7))


def test_without_a_standard_error_only_a_difference_speaks() -> None:
    exact = Statistic(np.array([0.0, 0.5, -0.5]), np.zeros(3), 4)
    assert exact.p() == pytest.approx([1, 0, 0])
    assert exact.p_at_least(0.5) == pytest.approx([0, 0.5, 0])


def test_mean_squares_by_hand() -> None:
    # rows 1, 3; columns 1.5, 2.5; residuals ±0.5: MS = 2(1 + 1)/1, 2(0.25 + 0.25)/1, 4(0.25)/1
    table = np.array([[1.0, 1.0], [2.0, 4.0]])
    assert rules.mean_squares(table) == pytest.approx((4.0, 1.0, 1.0))


def test_two_methods_are_the_paired_t_test() -> None:
    table = RNG.normal(70, 1, (6, 2))
    found, expected = rules.cell(table), stats.ttest_rel(table[:, 0], table[:, 1])
    assert found.df == expected.df == 5
    assert found.p() == pytest.approx(expected.pvalue)
    assert found.bounds() == pytest.approx(tuple(expected.confidence_interval()))


def test_students_are_one_sample() -> None:
    units = RNG.normal(0.3, 1, 7)
    expected = stats.ttest_1samp(units, 0)
    assert rules.in_general(units).p() == pytest.approx(expected.pvalue)
    assert rules.in_general(units).df == expected.df


def test_averages_by_group_keep_the_order_of_appearance() -> None:
    assert rules.average_by(np.array([1.0, 5.0, 3.0]), ["b", "a", "b"]).tolist() == [2, 5]


def test_these_pairs_are_the_stratified_average_by_hand() -> None:
    # SE^2 = (0.08 / 4 + 0.06 / 3) / 4 = 0.01, df = 3 + 2
    found = rules.these_pairs(np.array([1.0, 2.0]), np.array([0.08, 0.06]), [4, 3])
    assert tuple(found) == pytest.approx((1.5, 0.1, 5))


def test_one_number_of_trials_serves_all_pairs() -> None:
    means, variances = RNG.normal(size=6), RNG.uniform(0.1, 1, 6)
    one, each = (rules.these_pairs(means, variances, t) for t in (5, [5] * 6))
    assert tuple(one) == pytest.approx(tuple(each))
    assert one.df == 24


def test_the_spread_over_pairs_by_hand() -> None:
    means = np.array([0.0, 1.0, 2.0])  # variance 1, less 0.2 / 5
    assert rules.pair_spread(means, np.full(3, 0.2), 5) == pytest.approx(np.sqrt(0.96))
    assert rules.pair_spread(means, np.full(3, 20.0), 5) == 0


def test_the_slope_is_least_squares() -> None:
    x, y = np.array([72.3, 74.0, 75.5, 77.9, 79.4]), RNG.normal(size=5)
    expected = stats.linregress(x, y)
    found = rules.slope(x, y)
    assert (found.estimate, found.standard_error) == pytest.approx(
        (expected.slope, expected.stderr)
    )
    assert found.p() == pytest.approx(expected.pvalue)


def test_the_slope_of_these_teachers_by_hand() -> None:
    # x - mean = -1, 0, 1; Sxx = 2; SE^2 = s^2 / (T Sxx) = 0.5 / (5 * 2), df = 3 * 4
    found = rules.contrast(np.array([-0.5, 0, 0.5]), np.array([1.0, 2, 4]), np.full(3, 0.5), 5)
    assert tuple(found) == pytest.approx((1.5, np.sqrt(0.05), 12))


def test_planes_by_hand() -> None:
    # means of trials 0, 2, 4 and planes 1, 3, no residual: MS_T = 2 * 4, MS_J = 3 * 2, MS_E = 0
    table = np.array([[-1.0, 1.0], [1.0, 3.0], [3.0, 5.0]])
    found = rules.planes(table)
    assert found.estimate == 2
    assert found.standard_error == pytest.approx(np.sqrt(14 / 6))
    assert found.df == pytest.approx(14**2 / (64 / 2 + 36 / 1))
    assert rules.plane_variance(table) == pytest.approx(2)


def test_planes_that_differ_by_noise_alone_keep_the_residual_and_the_trials_df() -> None:
    # MS_T = MS_J = 0, MS_E = 1: the sum is negative
    found = rules.planes(np.array([[0.5, -0.5], [-0.5, 0.5]]))
    assert found.standard_error == pytest.approx(np.sqrt(1 / 4))
    assert found.df == 1


def test_equal_planes_have_a_difference_without_error() -> None:
    found = rules.planes(np.zeros((5, 3)))
    assert tuple(found) == (0, 0, 4)


@pytest.mark.parametrize(
    ("rule", "shape"),
    [
        (rules.cell, (5, 4)),
        (rules.in_general, (6,)),
        (lambda d: rules.slope(np.arange(5.0), d), (5,)),
        (lambda d: rules.these_pairs(d, d**2, np.arange(3, 8)), (5,)),
        (lambda d: rules.contrast(np.arange(5.0), d, d**2, np.arange(3, 8)), (5,)),
        (rules.planes, (4, 6)),
    ],
)
def test_leading_axes_are_independent_experiments(rule, shape) -> None:
    grids = RNG.normal(size=(3, *shape))
    together, alone = rule(grids), [rule(grid) for grid in grids]
    for values, single in zip(together, zip(*alone, strict=True), strict=True):
        np.testing.assert_allclose(np.broadcast_to(values, 3), single)


def test_the_rules_do_not_import_scipy_stats() -> None:
    code = (
        "import sys, repro.analysis.verdict, repro.analysis.planning, repro.analysis.sensitivity\n"
        "assert 'scipy.stats' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
