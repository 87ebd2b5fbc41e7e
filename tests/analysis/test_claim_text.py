"""A claim's block of lines: section by section what a reader needs to weigh it."""

import re
from dataclasses import replace

import pytest

from repro.analysis import claim_text
from repro.analysis.accuracy import PRIMARY_WORDS
from repro.analysis.estimates import Counts
from tests.analysis.test_claims import Made, judge, on_all

MEANS = {"kd": 68.0, "dkd": 68.0, "dist": 70.0, "cmkd": 71.0}


def test_a_block_has_both_scopes_with_all_their_numbers() -> None:
    found = judge(4, on_all(MEANS))
    lines = claim_text.lines(found, diverged=2)
    assert 6 <= len(lines) <= 10
    text = "\n".join(lines)
    assert lines[0] == f"C4 SUPPORTED: {found.claim.text}"
    assert "these pairs: supported; in general: supported; D = 0.2 points" in text
    for name, scope in (("these", "these pairs"), ("general", "in general")):
        estimate = getattr(found, name).estimate
        (line,) = [line for line in lines if line.startswith(f"   {scope}, turning on ")]
        assert f"[{estimate.low:+.3g}, {estimate.high:+.3g}] ({estimate.formula}, df " in line
        assert f"df {estimate.df:.3g})" in line
        assert re.search(r"p \S+, Holm \S+ of k = 3; P 6, S 6, T 5, 60 runs", line)
    (line,) = [line for line in lines if line.startswith("   in general, turning on dist: +1.")]
    assert "tau " in line
    assert "a new pair +" in line
    assert "dist: positive in 6 of 6 pairs; lower bound with one pair left out +" in text
    assert "residual mean square" in text
    assert "correlation within trials" in text
    assert re.search(r"finds with 80 % power: \S+ these pairs, \S+ in general", text)
    assert f"metric: {PRIMARY_WORDS}; last epoch: supported; best epoch: supported" in text
    assert "DIFFERS" not in text
    assert "pairs left out for want of trials: none; diverged runs: 2" in text
    assert "teachers and test set fixed" in text


def test_another_verdict_under_another_epoch_is_flagged() -> None:
    found = replace(judge(4, on_all(MEANS)), under={"top1_best": "refuted (dist)"})
    text = "\n".join(claim_text.lines(found))
    assert "best epoch: refuted (dist) (DIFFERS)" in text


def test_pairs_without_trials_are_named() -> None:
    found = judge(4, on_all(MEANS))
    estimate = replace(
        found.these.estimate,
        counts=Counts(pairs=5, students=5, trials=5, runs=50, missing=("a:b",)),
    )
    lines = claim_text.lines(replace(found, these=replace(found.these, estimate=estimate)))
    assert "want of trials: a:b" in "\n".join(lines)


@pytest.mark.parametrize("number", range(1, 8))
def test_what_is_not_run_says_what_is_missing_and_prints_no_nan(number: int) -> None:
    found = judge(number, Made())
    for text in ("\n".join(claim_text.lines(found)), "\n".join(claim_text.short(found))):
        assert "NOT RUN" in text
        assert f"to decide it: {found.missing}" in text
        assert "nan" not in text
    assert len(claim_text.short(found)) == 2
