import math

import numpy as np
import pytest
import scipy.stats
import torch

from repro.losses import KD, RKKD, rkkd
from repro.losses.rkkd import kendall_distance
from tests.losses.operations import Operations
from tests.losses.reference import gradient, random_pair, terms

RANK_ONLY = RKKD(ce_weight=0, kd_weight=0)


def tau(s: np.ndarray, t: np.ndarray, k: float) -> float:
    pairs = [(i, j) for i in range(len(s)) for j in range(i)]
    agreements = [math.tanh(k * (s[i] - s[j])) * math.tanh(k * (t[i] - t[j])) for i, j in pairs]
    return sum(agreements) / len(pairs)


@pytest.mark.parametrize("k", [0.5, 2.0, 100.0])
def test_the_rank_term_equals_a_slow_reference(k: float) -> None:
    student, teacher, batch = random_pair()
    taus = [tau(s, t, k) for s, t in zip(student.numpy(), teacher.numpy(), strict=True)]
    found = terms(RKKD(steepness=k, rank_weight=2.0), student, teacher, batch)["rank"]
    assert found == pytest.approx(2 * (1 - np.mean(taus)), rel=1e-9)


def test_rkkd_is_kd_and_the_rank_term() -> None:
    pair = random_pair()
    values = terms(RKKD(temperature=2.0, ce_weight=0.3, kd_weight=0.7), *pair)
    del values["rank"]
    assert values == terms(KD(temperature=2.0, ce_weight=0.3, kd_weight=0.7), *pair)


def test_a_steep_tau_is_kendalls() -> None:
    student, teacher, batch = random_pair()
    taus = [
        scipy.stats.kendalltau(s, t).statistic
        for s, t in zip(student.numpy(), teacher.numpy(), strict=True)
    ]
    found = terms(RKKD(steepness=1e6, rank_weight=1.0), student, teacher, batch)["rank"]
    assert found == pytest.approx(1 - np.mean(taus), rel=1e-6)


def test_a_steep_rank_term_is_zero_in_the_teachers_order_and_2_in_the_opposite_one() -> None:
    _, teacher, batch = random_pair()
    loss = RKKD(steepness=1e6, rank_weight=1.0)
    assert terms(loss, teacher**3, teacher, batch)["rank"] == pytest.approx(0, abs=1e-9)
    assert terms(loss, -teacher, teacher, batch)["rank"] == pytest.approx(2, rel=1e-9)


def test_the_rank_term_does_not_see_what_is_added_to_all_classes() -> None:
    student, teacher, batch = random_pair()
    moved = terms(RKKD(), student + 50, teacher - 50, batch)["rank"]
    assert moved == pytest.approx(terms(RKKD(), student, teacher, batch)["rank"], rel=1e-9)
    assert gradient(RANK_ONLY, student, teacher, batch).sum(1).abs().max() < 1e-12


@pytest.mark.parametrize("block", [1, 100, 250, 2**20])
def test_blocks_make_no_difference_and_the_gradient_is_that_of_autograd(
    block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rkkd, "BLOCK", block)
    student, teacher, _ = random_pair()
    student.requires_grad_()
    value = kendall_distance(student, teacher)
    (found,) = torch.autograd.grad(3 * value, student)
    gaps = [(x.unsqueeze(2) - x.unsqueeze(1)).tanh() for x in (student, teacher)]
    plain = 1 - (gaps[0] * gaps[1]).sum() / (8 * 10 * 9)
    torch.testing.assert_close(value, plain, rtol=1e-12, atol=1e-12)
    (expected,) = torch.autograd.grad(3 * plain, student)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_no_gap_of_all_images_at_once_is_made_beyond_a_block() -> None:
    student, teacher, _ = random_pair(batch=48, classes=200)
    student = student.float().requires_grad_()
    with Operations() as step:
        kendall_distance(student, teacher.float()).backward()
    assert step.largest <= 2**20 < 48 * 200 * 200
