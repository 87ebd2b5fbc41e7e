import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.losses.difficulty import difficulty
from tests.losses import reference
from tests.losses.reference import random_pair
from tests.losses.variants import DIFFICULTIES


@pytest.mark.parametrize("kind", DIFFICULTIES)
@pytest.mark.parametrize("seed", range(3))
def test_difficulty_equals_a_slow_reference(kind: str, seed: int) -> None:
    student, teacher, batch = random_pair(batch=9, seed=seed)
    ours = difficulty(kind, student, teacher, batch.labels)
    expected = reference.difficulty(kind, student.numpy(), teacher.numpy(), batch.labels.numpy())
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("kind", DIFFICULTIES)
@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0, 1e4])
def test_difficulty_stays_in_the_unit_interval_in_float32(kind: str, scale: float) -> None:
    student, teacher, batch = random_pair(batch=64, classes=100)
    d = difficulty(kind, scale * student.float(), scale * teacher.float(), batch.labels)
    assert d.shape == (64,)
    assert d.min() >= 0
    assert d.max() <= 1


@pytest.mark.parametrize("kind", DIFFICULTIES)
def test_difficulty_is_detached(kind: str) -> None:
    student, teacher, batch = random_pair()
    d = difficulty(kind, student.requires_grad_(), teacher.requires_grad_(), batch.labels)
    assert not d.requires_grad


@pytest.mark.parametrize("kind", ["teacher_entropy_rank", "teacher_entropy"])
def test_a_less_certain_teacher_means_a_harder_image(kind: str) -> None:
    teacher = torch.tensor([[9.0, 0, 0], [1.0, 0, 0], [0.0, 0, 0], [3.0, 0, 0]])
    d = difficulty(kind, teacher, teacher, torch.tensor([0, 0, 0, 0]))
    assert d.argsort().tolist() == [0, 3, 1, 2]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=20))
@settings(deadline=None)
def test_the_mean_entropy_rank_is_a_half_with_any_ties(confidences: list[int]) -> None:
    teacher = torch.zeros(len(confidences), 5)
    teacher[:, 2] = torch.tensor(confidences, dtype=torch.float32)
    d = difficulty("teacher_entropy_rank", teacher, teacher, torch.zeros(len(teacher)).long())
    assert d.double().mean().item() == pytest.approx(0.5, abs=1e-6)
    if len(confidences) > 1:
        ranks = scipy.stats.rankdata([-c for c in confidences])  # surer: easier
        np.testing.assert_allclose(d, (ranks - 1) / (len(ranks) - 1), atol=1e-6)


@pytest.mark.parametrize("kind", ["teacher_entropy_rank", "teacher_cross_entropy"])
def test_images_that_do_not_differ_get_a_half(kind: str) -> None:
    _, teacher, batch = random_pair(batch=1)
    assert difficulty(kind, teacher, teacher, batch.labels).tolist() == [0.5]
    same, labels = teacher.expand(4, -1), batch.labels.expand(4)
    assert difficulty(kind, same, same, labels).tolist() == [0.5] * 4
