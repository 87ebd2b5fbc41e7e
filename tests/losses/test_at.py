from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from repro.losses import AT
from tests.losses.made import Case, made, terms
from tests.losses.reference import Array, cross_entropy


def attention(maps: Array) -> Array:
    """Of one image [C, H, W]: the energy of each pixel, a unit vector."""
    energy = np.array(
        [[np.sum(maps[:, y, x] ** 2) for x in range(maps.shape[2])] for y in range(maps.shape[1])]
    )
    return energy.ravel() / np.sqrt(np.sum(energy**2))


def reference(case: Case, *, squared: bool) -> float:
    total = 0.0
    for own, theirs in zip(case.student.features[1:], case.teacher.features[1:], strict=True):
        for a, b in zip(own.numpy(), theirs.numpy(), strict=True):
            difference = attention(a) - attention(b)
            beta = 1000 / (difference.size * len(own))
            norm = np.linalg.norm(difference)
            total += beta * norm**2 if squared else beta / 2 * norm
    return total


@pytest.mark.parametrize("distance", ["squared", "norm"])
def test_at_equals_a_slow_reference(distance: str) -> None:
    case, loss = made(), AT(distance=distance)  # type: ignore[arg-type]
    expected = {
        "ce": cross_entropy(case.student.logits.numpy(), case.batch.labels.numpy()),
        "attention": reference(case, squared=distance == "squared"),
    }
    found = {name: term.item() for name, term in terms(loss, case).items()}
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("distance", ["squared", "norm"])
def test_at_is_zero_with_a_finite_gradient_at_the_teacher(distance: str) -> None:
    case, loss = made(), AT(distance=distance)  # type: ignore[arg-type]
    features = tuple(f.clone().requires_grad_() for f in case.teacher.features)
    case = replace(case, student=replace(case.student, features=features))
    value = terms(loss, case)["attention"]
    value.backward()
    assert value == 0
    assert all(f.grad is not None and not f.grad.any() for f in features[1:])


def with_student(case: Case, *features: torch.Tensor) -> Case:
    return replace(case, student=replace(case.student, features=features))


def test_scale_sign_and_order_of_channels_do_not_matter() -> None:
    case = made()
    scaled = with_student(case, *(-7 * f.flip(1) for f in case.student.features))
    before, after = (terms(AT(), c)["attention"].item() for c in (case, scaled))
    assert after == pytest.approx(before, rel=1e-12)


def test_order_of_pixels_matters_and_the_stem_does_not() -> None:
    case = made()
    stem, *stages = case.student.features
    before = terms(AT(), case)["attention"].item()
    assert terms(AT(), with_student(case, 0 * stem, *stages))["attention"] == before
    turned = with_student(case, stem, *(s.flip(3) for s in stages))
    assert terms(AT(), turned)["attention"].item() != pytest.approx(before, rel=1e-3)


def test_larger_maps_are_averaged_before_they_are_squared() -> None:
    case = made()
    halves = tuple(F.avg_pool2d(f, 2) for f in case.student.features)
    small = replace(case.teacher, features=tuple(F.avg_pool2d(f, 2) for f in case.teacher.features))
    expected = reference(replace(with_student(case, *halves), teacher=small), squared=True)
    for one in (with_student(case, *halves), replace(case, teacher=small)):
        assert terms(AT(), one)["attention"].item() == pytest.approx(expected, rel=1e-9)
