"""One verdict for every claim: total, exclusive, and by its interval."""

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from repro.analysis.estimates import Counts, Estimate
from repro.analysis.verdict import agreed, conjunction, headline, verdict, verdicts
from repro.errors import UserError
from tests.analysis.made_pairs import ESTIMATES, errors, estimate, values

D = 0.3
EFFECT = st.floats(0.01, 3)
NOT_RUN = estimate(math.nan, math.nan, trials=0)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (1.0, 0.1, "supported"),
        (0.25, 0.1, "supported"),  # its interval holds D and not 0
        (0.1, 0.2, "inconclusive"),
        (-0.5, 1.0, "inconclusive"),
        (-0.5, 0.1, "refuted (reversed)"),
        (0.1, 0.02, "refuted (positive but below D)"),
        (0.01, 0.1, "refuted (no effect of size D)"),
        (0.0, 0.0, "refuted (no effect of size D)"),
        (0.5, 0.0, "supported"),
        (math.nan, math.nan, "not run"),
    ],
)
def test_the_four_verdicts(value: float, error: float, words: str) -> None:
    assert verdict(estimate(value, error), effect=D).words == words


def test_two_trials_are_not_run() -> None:
    assert verdict(estimate(1.0, 0.1, trials=2), effect=D).label == "not run"


@given(ESTIMATES, EFFECT)
def test_a_single_verdict_is_where_its_interval_lies(found: Estimate, effect: float) -> None:
    low, high = stats.t.interval(0.95, found.df, found.estimate, found.standard_error)
    margin = 1e-9 * (1 + abs(low) + abs(high))
    if min(abs(low), abs(high), abs(high - effect)) < margin:
        return
    words = verdict(found, effect=effect).words
    if high < effect:
        detail = "reversed" if high < 0 else "no effect of size D"
        assert words == f"refuted ({'positive but below D' if low > 0 else detail})"
    else:
        assert words == ("supported" if low > 0 else "inconclusive")


@given(values, errors, EFFECT)
def test_half_an_interval_of_half_the_effect_always_decides(value, error, effect) -> None:
    found = estimate(value, error)
    half = (found.high - found.low) / 2
    narrow = estimate(value, error * effect / 2 / half * (1 - 1e-9))
    assert verdict(narrow, effect=effect).label in ("supported", "refuted")


@given(st.lists(ESTIMATES, min_size=1, max_size=6), EFFECT)
def test_a_family_never_decides_more_than_each_alone(family, effect) -> None:
    named = {str(i): found for i, found in enumerate(family)}
    together = verdicts(named, effect=effect)
    for name, found in together.items():
        alone = verdict(named[name], effect=effect).label
        assert found.label in (alone, "inconclusive", "supported")
        if found.label == "supported":  # refuted alone as positive but below D, or supported alone
            assert named[name].low > 0
        assert found.adjusted.size == len(family)


def test_holm_decides_within_a_family() -> None:
    weak = estimate(0.22, 0.1)  # p = 0.043
    assert verdict(weak, effect=D).label == "supported"
    assert verdicts({"a": weak, "b": estimate(0.1, 0.2)}, effect=D)["a"].label == "inconclusive"
    with_strong = verdicts({"a": weak, "b": estimate(1.0, 0.1)}, effect=D)
    assert with_strong["a"].label == "supported"
    small = estimate(0.08, 0.1)  # p of 0.3 or more: 0.022
    assert verdict(small, effect=D).label == "refuted"
    assert verdicts({"a": small, "b": estimate(1.0, 0.1)}, effect=D)["a"].label == "inconclusive"


@pytest.mark.parametrize("effect", [0.0, -0.3, math.nan])
def test_an_effect_of_interest_is_positive(effect: float) -> None:
    with pytest.raises(UserError, match="above 0"):
        verdict(estimate(1.0, 0.1), effect=effect)


def test_exceptions_are_named_where_it_is_supported() -> None:
    found = verdict(estimate(1.0, 0.1), effect=D, exceptions=["t:a"])
    assert (found.words, found.exceptions) == ("supported (with exceptions)", ("t:a",))
    refuted = verdict(estimate(-1.0, 0.1), effect=D, exceptions=["t:a"])
    assert (refuted.words, refuted.exceptions) == ("refuted (reversed)", ())


def test_better_than_all_needs_no_correction_and_falls_by_one() -> None:
    weak, strong = estimate(0.22, 0.1), estimate(1.0, 0.1)
    family = {"strong": strong, **{str(i): weak for i in range(7)}}
    assert verdicts(family, effect=D)["0"].label == "inconclusive"
    best = conjunction(family, effect=D)
    assert (best.label, best.estimate, best.adjusted.size) == ("supported", weak, 8)
    worse = conjunction(family | {"x": estimate(-0.5, 0.1)}, effect=D)
    assert worse.words == "refuted (x)"
    open_one = estimate(0.1, 0.2)
    found = conjunction(family | {"y": open_one}, effect=D)
    assert (found.words, found.estimate) == ("inconclusive", open_one)
    lower = estimate(-0.1, 0.2)
    assert conjunction(family | {"y": open_one, "z": lower}, effect=D).estimate == lower
    missing = conjunction(family | {"x": estimate(-0.5, 0.1), "z": NOT_RUN}, effect=D)
    assert missing.words == "not run (z)"


def test_outcomes_must_agree() -> None:
    yes, no = (verdict(estimate(v, 0.1), effect=D) for v in (1.0, -1.0))
    none = verdict(NOT_RUN, effect=D)
    less = verdict(estimate(0.8, 0.1), effect=D)
    assert agreed({"raw": yes, "free": less}) == dataclasses.replace(less, of="free")
    assert agreed({"raw": no, "free": verdict(estimate(0.05, 0.1), effect=D)}).of == "free"
    conflict = agreed({"raw": yes, "free": no})
    assert conflict.words == "inconclusive (raw: supported, free: refuted)"
    assert conflict.hindrance.startswith("the definitions disagree")
    unsure = verdict(estimate(0.1, 0.2), effect=D)
    for sure in (yes, no):
        found = agreed({"raw": sure, "free": unsure})
        assert (found.estimate, found.of, found.hindrance) == (unsure.estimate, "free", "")
    assert agreed({"raw": yes, "free": none}).label == "not run"


def test_nothing_has_no_verdict() -> None:
    for combine in (lambda: conjunction({}, effect=D), lambda: agreed({})):
        with pytest.raises(UserError):
            combine()


def test_the_headline_is_general_where_it_can_be() -> None:
    these, none = verdict(estimate(1.0, 0.1), effect=D), verdict(NOT_RUN, effect=D)
    general = verdict(estimate(0.1, 0.2), effect=D)
    assert headline(these, general) == (general, "in general")
    assert headline(these, none) == (these, "on this pair")
    pairs = dataclasses.replace(
        these.estimate, counts=Counts(pairs=4, students=4, trials=5, runs=40)
    )
    four = verdict(pairs, effect=D)
    assert headline(four, none) == (four, "on these 4 pairs")
    teachers = verdict(dataclasses.replace(pairs, scope="these teachers"), effect=D)
    assert headline(teachers, none) == (teachers, "for these teachers")


def test_members_that_agree_keep_the_exceptions_of_each() -> None:
    sure = verdict(estimate(2.0, 0.1), effect=D, exceptions=["t:a"])
    less = verdict(estimate(1.0, 0.1), effect=D, exceptions=["t:b", "t:a"])
    found = agreed({"sure": sure, "less": less})
    assert (found.words, found.exceptions) == ("supported (with exceptions)", ("t:a", "t:b"))
    assert agreed({"sure": sure, "not": verdict(estimate(-1.0, 0.1), effect=D)}).exceptions == ()
