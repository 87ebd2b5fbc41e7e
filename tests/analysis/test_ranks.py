"""Rank agreement against SciPy, ties included."""

import time
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from repro.analysis.ranks import (
    by_difficulty,
    correlations,
    entropy,
    fitted_band,
    rank_agreement,
)
from repro.errors import UserError


def logits(seed: int, *, rounded: bool = False, classes: int = 12) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(25, classes)).astype(np.float32)
    return found.round(0) if rounded else found


@pytest.mark.parametrize("rounded", [False, True], ids=["all differ", "many ties"])
def test_both_statistics_equal_scipy(rounded):
    student, teacher = logits(0, rounded=rounded), logits(1, rounded=rounded)
    spearman, kendall = correlations(student, teacher)
    for i in range(len(student)):
        assert spearman[i] == pytest.approx(stats.spearmanr(student[i], teacher[i])[0], abs=1e-6)
        assert kendall[i] == pytest.approx(stats.kendalltau(student[i], teacher[i])[0], abs=1e-6)


def test_the_teacher_s_top_classes_equal_scipy_on_them():
    student, teacher = logits(0), logits(1)
    found = rank_agreement(student, teacher, top=(5, 10))
    assert list(found)[:3] == ["entropy", "spearman", "kendall"]
    for i in range(len(student)):
        for count in (5, 10):
            top = np.argsort(teacher[i])[::-1][:count]
            pair = student[i][top], teacher[i][top]
            assert found[f"spearman_top{count}"][i] == pytest.approx(
                stats.spearmanr(*pair)[0], abs=1e-6
            )
            assert found[f"kendall_top{count}"][i] == pytest.approx(
                stats.kendalltau(*pair)[0], abs=1e-6
            )


def test_a_constant_row_is_undefined_as_in_scipy():
    flat = np.zeros((1, 4), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isnan(stats.spearmanr(flat[0], np.arange(4))[0])
    assert np.isnan(correlations(flat, logits(0, classes=4)[:1])).all()


def test_an_order_agrees_with_itself_and_not_with_its_reverse():
    one = logits(0)
    for other, expected in ((one * 3 + 1, 1), (-one, -1)):
        assert np.stack(correlations(one, other)) == pytest.approx(expected)


def test_entropy_is_scipy_s_and_runs_from_nothing_to_log_k():
    found = entropy([[0.0] * 4, [1000.0, 0, 0, 0], [1, 2, 3, 4]])
    p = np.exp([1, 2, 3, 4]) / np.exp([1, 2, 3, 4]).sum()
    assert found == pytest.approx([np.log(4), 0, stats.entropy(p)])


def test_the_whole_of_cifar_100_takes_seconds():
    student, teacher = (np.random.default_rng(s).normal(size=(2_000, 100)) for s in (0, 1))
    began = time.process_time()
    rank_agreement(student, teacher)
    assert 5 * (time.process_time() - began) < 30


def test_bins_are_equal_in_number_and_go_from_easy_to_hard():
    frame = pd.DataFrame({"entropy": [0.5, 0.1, 0.9, 0.3, 0.7], "spearman": [3.0, 1, 5, 2, 4]})
    table = by_difficulty(frame, bins=2)
    assert table["bin"].tolist() == [0, 1, -1]
    assert table["difficulty"].tolist() == [0.25, 0.75, 0.5]
    assert table["images"].tolist() == [3, 2, 5]
    assert table["spearman"].tolist() == [2, 4.5, 3]
    assert table["entropy"].tolist() == pytest.approx([0.3, 0.8, 0.5])


def test_an_undefined_image_is_left_out_of_its_bin_s_mean():
    frame = pd.DataFrame({"entropy": [0.1, 0.2, 0.3], "spearman": [1.0, np.nan, 0.5]})
    assert by_difficulty(frame, bins=1)["spearman"].tolist() == [0.75, 0.75]


def test_a_fitted_band_by_hand():
    x, at = np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0])
    trials = [(x, 1 + 2 * x**2), (x, 3 + 2 * x**2)]
    mean, half = fitted_band(trials, at)
    assert mean == pytest.approx([2, 4])
    expected = stats.t.ppf(0.975, 1) * stats.sem([1, 3])
    assert half == pytest.approx([expected] * 2)
    line, none = fitted_band(trials[:1], at)
    assert line == pytest.approx([1, 3])
    assert np.isnan(none).all()


@pytest.mark.parametrize(
    ("student", "teacher", "top"),
    [
        (logits(0), logits(1)[:3], (5,)),
        (logits(0)[0], logits(1)[0], (5,)),
        (logits(0)[:, :1], logits(1)[:, :1], (5,)),
        (logits(0), logits(1), (1,)),
    ],
)
def test_what_has_no_ranks_is_refused(student, teacher, top):
    with pytest.raises(UserError, match="ranks need two arrays"):
        rank_agreement(student, teacher, top=top)


@pytest.mark.parametrize("bins", [0, 4])
def test_bins_without_images_are_refused(bins):
    frame = pd.DataFrame({"entropy": [0.1, 0.2, 0.3]})
    with pytest.raises(UserError, match=f"{bins} bins of 3 images"):
        by_difficulty(frame, bins=bins)
