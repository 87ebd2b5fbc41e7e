from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from repro.losses import RKD
from tests.losses.made import Case, made, tensors_to, terms
from tests.losses.reference import Array, cross_entropy


def huber(a: float, b: float) -> float:
    gap = abs(a - b)
    return gap**2 / 2 if gap <= 1 else gap - 0.5


def distances(x: Array) -> Array:
    count = len(x)
    d = np.array([[np.linalg.norm(x[i] - x[j]) for j in range(count)] for i in range(count)])
    return d / np.mean([d[i, j] for i in range(count) for j in range(count) if i != j])


def cosine(x: Array, i: int, j: int, k: int) -> float:
    a, b = x[j] - x[i], x[k] - x[i]
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def reference(s: Array, t: Array) -> tuple[float, float]:
    """The paper's sums over distinct images, divided by B^2 and B^3."""
    count = len(s)
    d_s, d_t = distances(s), distances(t)
    of_distance = of_angle = 0.0
    for i in range(count):
        for j in (j for j in range(count) if j != i):
            of_distance += huber(d_s[i, j], d_t[i, j])
            for k in (k for k in range(count) if k not in (i, j)):
                of_angle += huber(cosine(s, i, j, k), cosine(t, i, j, k))
    return of_distance / count**2, of_angle / count**3


def pooled(case: Case) -> tuple[Tensor, Tensor]:
    assert case.student.pooled is not None
    assert case.teacher.pooled is not None
    return case.student.pooled, case.teacher.pooled


def with_pooled(case: Case, student: Tensor) -> Case:
    return replace(case, student=replace(case.student, pooled=student))


def values(loss: RKD, case: Case) -> dict[str, float]:
    return {name: value.item() for name, value in terms(loss, case).items()}


def relations(loss: RKD, case: Case) -> tuple[float, float]:
    found = values(loss, case)
    return found["distance"], found["angle"]


def test_rkd_equals_a_slow_reference() -> None:
    case = made()
    distance, angle = reference(*(x.numpy() for x in pooled(case)))
    expected = {
        "ce": cross_entropy(case.student.logits.numpy(), case.batch.labels.numpy()),
        "distance": 25 * distance,
        "angle": 50 * angle,
    }
    assert values(RKD(), case) == pytest.approx(expected, rel=1e-9)


def test_unit_features_are_divided_by_their_norms() -> None:
    case = made()
    s, t = (x.numpy() / np.linalg.norm(x.numpy(), axis=1, keepdims=True) for x in pooled(case))
    distance, angle = reference(s, t)
    found = relations(RKD(unit_features=True), case)
    assert found == pytest.approx((25 * distance, 50 * angle), rel=1e-9)


def test_rkd_is_zero_where_the_student_is_the_teacher_moved_turned_and_scaled() -> None:
    case = made()
    _, target = pooled(case)
    draw = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(9, 9, generator=draw, dtype=torch.float64)).Q
    like = with_pooled(case, 0.01 * target @ turn + 3)
    assert relations(RKD(), like) == pytest.approx((0, 0), abs=1e-12)
    assert min(relations(RKD(), case)) > 0.1


def test_far_from_the_origin_float32_is_as_exact_as_float64() -> None:
    case = tensors_to(made(), torch.float32)
    shifted = with_pooled(case, 1000 + pooled(case)[0])
    exact = with_pooled(tensors_to(shifted, torch.float64), pooled(shifted)[0].double())
    found, expected = relations(RKD(), shifted), relations(RKD(), exact)
    assert found == pytest.approx(expected, rel=1e-6)


def test_two_equal_images_have_a_small_gradient() -> None:
    """Their direction is none; a division by 1e-12 would be felt here."""
    case = made(dtype=torch.float32)
    student = pooled(case)[0].clone()
    student[1] = student[0]
    student.requires_grad_()
    found = terms(RKD(), with_pooled(case, student))
    (found["distance"] + found["angle"]).backward()
    assert student.grad is not None
    assert student.grad.any()
    assert student.grad.abs().max() < 1e3


def test_an_image_alone_has_no_relations() -> None:
    assert relations(RKD(), made(batch=1)) == (0, 0)
    assert relations(RKD(), made(batch=2)) == pytest.approx((0, 0), abs=1e-12)
