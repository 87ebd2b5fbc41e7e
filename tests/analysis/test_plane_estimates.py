"""C3: the trial is the unit, and pairs share their planes."""

import numpy as np
import pandas as pd
import pytest

from repro.analysis import rules
from repro.analysis.plane_estimates import planes, planes_in_general

RNG = np.random.default_rng(1)
PAIRS = {f"t:s{i}": pd.DataFrame(RNG.normal(0.1, 1, (5, 8))) for i in range(6)}
MEANS = np.array([table.to_numpy().mean() for table in PAIRS.values()])


def test_one_pair_is_the_rule_on_its_table() -> None:
    table = PAIRS["t:s0"]
    found = planes({"t:s0": table})
    expected = rules.planes(table.to_numpy())
    assert (found.estimate, found.standard_error, found.df) == pytest.approx(tuple(expected))
    assert (found.formula, found.counts.trials, found.counts.runs) == ("F7", 5, 10)


def test_pairs_are_averaged_trial_by_trial() -> None:
    expected = rules.planes(np.mean([t.to_numpy() for t in PAIRS.values()], axis=0))
    found = planes(PAIRS)
    assert found.estimate == pytest.approx(MEANS.mean())
    assert found.standard_error == pytest.approx(float(expected.standard_error))


def test_planes_that_all_pairs_share_are_not_averaged_away() -> None:
    same = dict.fromkeys(PAIRS, PAIRS["t:s0"])
    assert planes(same).standard_error == pytest.approx(
        planes({"a:b": PAIRS["t:s0"]}).standard_error
    )


def test_in_general_adds_the_common_planes_to_the_students() -> None:
    shared = np.mean([rules.plane_variance(t.to_numpy()) for t in PAIRS.values()]) / 8
    assert shared > 0
    found = planes_in_general(PAIRS)
    assert found.standard_error == pytest.approx(np.sqrt(MEANS.var(ddof=1) / 6 + shared))
    assert (found.df, found.scope, found.formula) == (5, "in general", "F7 over pairs")


def test_the_spread_over_pairs_is_less_the_noise_of_their_trials() -> None:
    of_trials = np.mean([t.to_numpy().mean(1).var(ddof=1) for t in PAIRS.values()]) / 5
    wide = {pair: table + 2 * i for i, (pair, table) in enumerate(PAIRS.items())}
    means = MEANS + 2 * np.arange(6)
    assert planes_in_general(wide).tau == pytest.approx(np.sqrt(means.var(ddof=1) - of_trials))


def test_four_students_are_too_few_in_general() -> None:
    few = {pair: PAIRS[pair] for pair in list(PAIRS)[:4]}
    assert not planes_in_general(few).is_run
    assert planes_in_general(few).estimate == pytest.approx(MEANS[:4].mean())
    assert not planes_in_general({}).is_run


def test_four_trials_are_too_few() -> None:
    short = PAIRS["t:s0"].copy()
    short.iloc[2, 3] = np.nan
    found = planes({"t:s0": short})
    assert not found.is_run
    assert found.counts.missing == ("t:s0",)
    assert planes(PAIRS | {"t:s0": short}).counts.pairs == 5


def test_trials_that_pairs_do_not_share_are_left_out() -> None:
    late = PAIRS["t:s0"].set_axis(range(1, 6))
    found = planes({"t:s0": late, "t:s1": PAIRS["t:s1"]})
    assert found.counts.trials == 4
    assert not found.is_run
