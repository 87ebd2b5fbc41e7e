import math

import numpy as np
import pytest
from scipy import stats

from repro.analysis.statistics import (
    hull,
    pooled_std,
    published_difference,
    published_margin,
    t_interval,
    table_difference,
)
from repro.errors import UserError


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_t_interval_equals_scipy(confidence):
    values = [71.9, 72.4, 72.1, 72.6, 71.8]
    mean, low, high = t_interval(values, confidence)
    expected = stats.t.interval(confidence, 4, np.mean(values), stats.sem(values))
    assert mean == pytest.approx(72.16)
    assert (low, high) == pytest.approx(expected)


def test_one_value_has_a_mean_but_no_interval():
    mean, low, high = t_interval([72.0])
    assert mean == 72.0
    assert math.isnan(low)
    assert math.isnan(high)
    assert math.isnan(t_interval([])[0])


def test_pooled_std_is_the_root_mean_variance():
    assert pooled_std([0.3, 0.4, math.nan]) == pytest.approx(math.sqrt(0.125))
    assert math.isnan(pooled_std([math.nan]))


def test_published_difference_by_hand():
    # SE^2 = 0.25^2/5 + 0.30^2/3 = 0.0125 + 0.03 = 0.0425, SE = 0.206155
    d = published_difference(72.5, 72.3, std=0.25, trials=5, published_std=0.30, published_runs=3)
    assert d.difference == pytest.approx(0.2)
    assert d.standard_error == pytest.approx(0.206155, abs=1e-6)
    assert (d.low90, d.high90) == pytest.approx((0.2 - 0.339094, 0.2 + 0.339094), abs=1e-5)
    assert (d.low95, d.high95) == pytest.approx((0.2 - 0.404057, 0.2 + 0.404057), abs=1e-5)
    assert d.smallest_margin == pytest.approx(0.539094, abs=1e-5)


def test_what_a_source_does_not_state_counts_as_one_run_with_std_027():
    d = published_difference(72.5, 72.3, std=0.25, trials=5)
    assert d.standard_error == pytest.approx(math.sqrt(0.0125 + 0.27**2))


def test_verdicts_at_the_margin():
    near = published_difference(
        72.3, 72.3, std=0.25, trials=5, published_std=0.25, published_runs=5
    )
    far = published_difference(75.3, 72.3, std=0.25, trials=5, published_std=0.25, published_runs=5)
    assert near.verdict(0.5) == "reproduced"
    assert near.verdict(0.2) == "inconclusive"
    assert far.verdict(0.5) == "different"
    below = published_difference(69.3, 72.3, std=0.25, trials=5)
    assert below.verdict(0.8) == "different"


def test_an_unknown_std_never_reproduces():
    assert published_difference(72.3, 72.3, std=math.nan, trials=1).verdict(5.0) == "inconclusive"


def test_no_trial_is_an_error():
    with pytest.raises(UserError, match="at least 1 trial"):
        published_difference(72.3, 72.3, std=0.2, trials=0)


def test_margin_is_wider_when_the_number_of_runs_is_not_stated():
    assert [published_margin(n) for n in (5, 3, 1, math.nan)] == [0.5, 0.5, 0.8, 0.8]


def test_a_source_without_its_epoch_is_reproduced_by_last_and_best_alike():
    stated = {"std": 0.25, "trials": 5, "published_std": 0.25, "published_runs": 5}
    last, best = (published_difference(v, 72.3, **stated) for v in (72.3, 72.5))
    both = hull(last, best)
    assert (both.low90, both.high95) == (last.low90, best.high95)
    assert both.smallest_margin == best.smallest_margin
    assert (last.verdict(0.3), both.verdict(0.3)) == ("reproduced", "inconclusive")
    below, above = (published_difference(v, 72.3, **stated) for v in (70.3, 74.3))
    assert below.verdict(0.5) == above.verdict(0.5) == "different"
    assert hull(below, above).verdict(0.5) == "inconclusive"


def test_a_table_is_compared_by_its_mean_over_cells():
    cells = [0.1, -0.2, 0.3, 0.0, math.nan]
    found = table_difference(cells)
    expected = stats.t.interval(0.9, 3, 0.05, stats.sem(cells[:4]))
    assert (found.low90, found.high90) == pytest.approx(expected)
    assert (found.low95, found.high95) == pytest.approx(
        stats.t.interval(0.95, 3, 0.05, found.standard_error)
    )
    assert [found.verdict(m) for m in (0.3, 0.1)] == ["reproduced", "inconclusive"]
    assert table_difference([0.1]).verdict(9.0) == "inconclusive"
