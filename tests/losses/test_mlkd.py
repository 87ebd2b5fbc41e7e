from typing import Literal

import numpy as np
import pytest
import scipy.stats
import torch
from torch import Tensor

from repro.errors import UserError
from repro.losses.mlkd import MLKD
from repro.outputs import Batch, Outputs
from tests.losses.reference import Array, batch_of, cross_entropy, softmax

PAPER = MLKD(variant="paper")


def two_views(batch: int = 7, classes: int = 5) -> tuple[Tensor, Tensor, Batch]:
    """Student's and teacher's logits [2, B, K] in float64."""
    draw = torch.Generator().manual_seed(1)
    teacher = 3 * torch.randn(2, batch, classes, generator=draw, dtype=torch.float64)
    noise = torch.randn(2, batch, classes, generator=draw, dtype=torch.float64)
    labels = torch.randint(classes, (batch,), generator=draw)
    return 0.4 * teacher + noise, teacher, batch_of(labels)


def outputs(logits: Tensor) -> Outputs:
    return Outputs(logits[0], second=Outputs(logits[1]))


def terms(loss: MLKD, student: Tensor, teacher: Tensor, batch: Batch) -> dict[str, float]:
    values = loss(outputs(student), outputs(teacher), batch)
    return {name: value.item() for name, value in values.items()}


def instance(s: Array, t: Array, temperature: float) -> float:
    pairs = zip(softmax(t, temperature), softmax(s, temperature), strict=True)
    return temperature**2 * float(np.mean([scipy.stats.entropy(q, p) for q, p in pairs]))


def among_rows(s: Array, t: Array, temperature: float, transposed: bool = False) -> float:
    """The squared differences of all inner products of two rows, for each row."""
    p, q = softmax(s, temperature), softmax(t, temperature)
    if transposed:
        p, q = p.T, q.T
    count = len(p)
    pairs = ((i, j) for i in range(count) for j in range(count))
    return float(sum((q[i] @ q[j] - p[i] @ p[j]) ** 2 for i, j in pairs)) / count


def test_mlkd_equals_a_slow_reference() -> None:
    student, teacher, batch = two_views()
    views = [(student[v].numpy(), teacher[v].numpy()) for v in (0, 1)]
    each = [(s, t, temperature) for s, t in views for temperature in (2, 3, 4, 5, 6)]
    expected = {
        "ce": 0.1 * cross_entropy(views[0][0], batch.labels.numpy()),
        "ce_second": 0.1 * cross_entropy(views[1][0], batch.labels.numpy()),
        "instance": 0.9 * sum(instance(*one) for one in each),
        "batch": 0.9 * sum(among_rows(*one) for one in each[:5]),
        "class": 0.9 * sum(among_rows(*one, transposed=True) for one in each[:5]),
    }
    assert terms(PAPER, student, teacher, batch) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("size", "classes"), [(7, 5), (8, 5), (8, 6), (1, 4)])
def test_the_released_variant_equals_a_slow_reference(size: int, classes: int) -> None:
    student, teacher, batch = two_views(size, classes)
    (s, s_strong), (t, t_strong) = student.numpy(), teacher.numpy()
    confidence, mass = softmax(t).max(axis=1), softmax(t).sum(axis=0)
    images = np.mean(confidence <= np.percentile(confidence, 50))
    of_classes = np.mean(mass <= np.percentile(mass, 50))
    instances = sum(images * instance(s, t, x) for x in (2, 3, 4, 5, 6))
    instances += sum(instance(s_strong, t_strong, x) for x in (4, 3, 5))
    instances += sum(instance(s, t, x) for x in (2, 6))
    expected = {
        "ce": 0.1 * cross_entropy(s, batch.labels.numpy()),
        "ce_second": 0.1 * cross_entropy(s_strong, batch.labels.numpy()),
        "instance": 0.9 * instances,
        "batch": 0.9 * images * sum(among_rows(s, t, x) for x in (2, 3, 4, 5, 6)),
        "class": 0.9
        * of_classes
        * sum(among_rows(s, t, x, transposed=True) for x in (2, 3, 4, 5, 6)),
    }
    found = terms(MLKD(variant="released"), student, teacher, batch)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_mlkd_is_zero_at_the_teacher(variant: Literal["paper", "released"]) -> None:
    _, teacher, batch = two_views()
    values = terms(MLKD(variant=variant), teacher + 5, teacher, batch)
    assert [values[name] for name in ("instance", "batch", "class")] == pytest.approx([0] * 3)


def test_the_views_count_alike_for_the_instance_level() -> None:
    student, teacher, batch = two_views()
    values = terms(PAPER, student, teacher, batch)
    swapped = terms(PAPER, student.flip(0), teacher.flip(0), batch)
    assert swapped["ce"] == values["ce_second"]
    assert swapped["instance"] == pytest.approx(values["instance"], rel=1e-12)
    assert swapped["batch"] != pytest.approx(values["batch"], rel=1e-2)


@pytest.mark.parametrize("variant", ["paper", "released"])
def test_batch_and_class_level_do_not_see_the_strong_view(
    variant: Literal["paper", "released"],
) -> None:
    student, teacher, batch = two_views()
    moved = torch.stack((student[0], student[1].flip(1)))
    before, after = (terms(MLKD(variant=variant), z, teacher, batch) for z in (student, moved))
    assert (before["batch"], before["class"]) == (after["batch"], after["class"])
    assert before["instance"] != after["instance"]


def test_the_batch_level_ignores_the_names_of_the_classes_and_the_class_level_the_order() -> None:
    """A student that renames all classes alike errs in instances and classes, not in the batch."""
    _, teacher, batch = two_views()
    renamed = terms(PAPER, teacher.roll(1, dims=2), teacher, batch)
    assert renamed["batch"] == pytest.approx(0, abs=1e-12)
    assert min(renamed["instance"], renamed["class"]) > 0.1
    reordered = terms(PAPER, teacher.roll(1, dims=1), teacher, batch)
    assert reordered["class"] == pytest.approx(0, abs=1e-12)
    assert min(reordered["instance"], reordered["batch"]) > 0.1


def test_the_released_variant_is_the_default() -> None:
    assert MLKD() == MLKD(variant="released") != PAPER


@pytest.mark.parametrize("blind", ["student", "teacher"])
def test_without_a_second_view_the_error_says_what_is_missing(blind: str) -> None:
    student, teacher, batch = two_views()
    given = {"student": outputs(student), "teacher": outputs(teacher)}
    given[blind] = Outputs(given[blind].logits)
    with pytest.raises(UserError, match='second_view="strong"'):
        PAPER(given["student"], given["teacher"], batch)


def test_both_views_teach() -> None:
    student, teacher, batch = two_views()
    student.requires_grad_()
    values = MLKD(ce_weight=0, variant="paper")(outputs(student), outputs(teacher), batch)
    torch.stack(tuple(values.values())).sum().backward()
    assert student.grad is not None
    assert (student.grad.abs().sum(dim=2) > 0).all()
