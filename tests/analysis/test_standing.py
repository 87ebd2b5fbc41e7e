"""Best and second, and families of differences with verdicts, beside SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from repro.analysis.standing import judged_rows, less_reference, reversed_family, standing

TRIALS = pd.DataFrame(
    {"a": [70.0, 70.5, 70.2, 70.4], "b": [71.0, 71.6, 71.1, 71.5], "c": [75.0, 75.4, 75.3, 75.2]}
)


def test_the_best_and_the_second_are_surely_ahead() -> None:
    assert standing(TRIALS) == {"c": "best", "b": "second"}
    assert standing(TRIALS, lower=True) == {"a": "best", "b": "second"}
    close = TRIALS.assign(b=TRIALS["c"] + [0.3, -0.3, 0.1, -0.2])
    assert standing(close) == {"b": "second"}
    assert standing(TRIALS[:1]) == {}
    assert standing(TRIALS[["a"]]) == {}


def test_two_methods_are_the_paired_t_test() -> None:
    (found,) = judged_rows(less_reference(TRIALS[["a", "b"]], ["a", "b"], "a"), 0.2).values()
    expected = stats.ttest_rel(TRIALS["b"], TRIALS["a"])
    interval = expected.confidence_interval()
    assert found["difference"] == pytest.approx(1.025)
    assert found["p"] == pytest.approx(expected.pvalue)
    assert (found["low95"], found["high95"]) == pytest.approx(tuple(interval))
    assert (found["paired_trials"], found["verdict"]) == (4, "supported")


def test_from_the_other_side_only_the_sign_and_the_verdict_change() -> None:
    family = less_reference(TRIALS, ["b", "c", "missing"], "a")
    there, back = judged_rows(family, 0.2), judged_rows(reversed_family(family), 0.2)
    assert there["c"]["p_holm"] == back["c"]["p_holm"] == pytest.approx(3 * there["c"]["p"])
    assert there["c"]["low95"] == pytest.approx(-back["c"]["high95"])
    assert (there["c"]["verdict"], back["c"]["verdict"]) == ("supported", "refuted (reversed)")
    assert there["missing"]["verdict"] == "not run"
    assert np.isnan(there["missing"]["difference"])
