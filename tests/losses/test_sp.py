from dataclasses import replace

import numpy as np
import pytest
import torch

from repro.losses import SP
from tests.losses.made import Case, made, terms
from tests.losses.reference import Array, cross_entropy


def similarities(maps: Array) -> Array:
    """Row by row, image by image."""
    count = len(maps)
    rows = np.array([[np.sum(maps[i] * maps[j]) for j in range(count)] for i in range(count)])
    return np.array([row / np.sqrt(np.sum(row**2)) for row in rows])


def with_last(case: Case, student: torch.Tensor) -> Case:
    features = (*case.student.features[:-1], student)
    return replace(case, student=replace(case.student, features=features))


def test_sp_equals_a_slow_reference() -> None:
    case = made()
    s, t = (similarities(x.features[-1].numpy()) for x in (case.student, case.teacher))
    squares = [(s[i, j] - t[i, j]) ** 2 for i in range(6) for j in range(6)]
    expected = {
        "ce": cross_entropy(case.student.logits.numpy(), case.batch.labels.numpy()),
        "sp": 3000 * sum(squares) / 6**2,
    }
    found = {name: value.item() for name, value in terms(SP(), case).items()}
    assert found == pytest.approx(expected, rel=1e-9)


def test_sp_is_zero_at_the_teacher_and_at_any_multiple_of_its_maps() -> None:
    case = made()
    for scale in (1.0, 1e-3, 70.0):
        like = with_last(case, scale * case.teacher.features[-1])
        assert terms(SP(), like)["sp"].item() == pytest.approx(0, abs=1e-20)
    assert terms(SP(), case)["sp"] > 10


def test_sp_does_not_see_the_order_of_channels_and_pixels() -> None:
    case = made()
    maps = case.student.features[-1]
    turned = maps.flip(1).transpose(2, 3)
    before, after = (terms(SP(), with_last(case, x))["sp"] for x in (maps, turned))
    assert after.item() == pytest.approx(before.item(), rel=1e-12)


def test_sp_takes_maps_of_any_size() -> None:
    """Each pixel four times: all inner products are four times as large."""
    case = made()
    maps = case.student.features[-1]
    larger = maps.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    before, after = (terms(SP(), with_last(case, x))["sp"] for x in (maps, larger))
    assert after.item() == pytest.approx(before.item(), rel=1e-12)


def test_an_image_without_activations_has_no_gradient() -> None:
    """In rows of norm 1 its similarities would be multiplied by 1e12."""
    case = made(dtype=torch.float32)
    maps = case.student.features[-1].clone()
    maps[2] = 0
    maps.requires_grad_()
    terms(SP(), with_last(case, maps))["sp"].backward()
    assert maps.grad is not None
    assert maps.grad.abs().max() < 1e6
    assert maps.grad.any()
