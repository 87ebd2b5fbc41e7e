"""What holds for every method and for every row of CMKD's ablation."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from repro.errors import UserError
from repro.losses import LOSSES, METHODS, TYPES, Loss, method_name, named
from repro.outputs import Outputs
from tests.losses.operations import Operations
from tests.losses.reference import batch_of, gradient, random_pair, terms, total
from tests.losses.variants import ALL, CMKD_VARIANTS, METHOD_LOSSES

every_loss = pytest.mark.parametrize("loss", ALL.values(), ids=ALL.keys())


# "by student_entropy" detaches its weights from the student: its gradient is in test_cmkd.py
@pytest.mark.parametrize("name", [name for name in ALL if name != "cmkd, by student_entropy"])
def test_gradient_is_exact(name: str) -> None:
    loss = ALL[name]
    student, teacher, batch = random_pair(batch=3, classes=5)
    student.requires_grad_()
    assert torch.autograd.gradcheck(lambda s: total(loss, s, teacher, batch), student)


@every_loss
def test_no_gradient_reaches_the_teacher(loss: Loss) -> None:
    student, teacher, batch = random_pair()
    teacher.requires_grad_()
    value = total(loss, student.requires_grad_(), teacher, batch)
    of_student, of_teacher = torch.autograd.grad(value, (student, teacher), allow_unused=True)
    assert of_student.abs().sum() > 0
    assert of_teacher is None


def extreme_pairs() -> dict[str, tuple[Tensor, Tensor]]:
    student, teacher, _ = (x for x in random_pair(batch=6, classes=10))
    huge_s, huge_t = 1e4 * student.sign(), 1e4 * teacher.sign()
    flat, high = torch.full_like(student, 0.1), torch.full_like(student, -12345.678)
    one_hot = torch.zeros_like(student)
    one_hot[:, 3] = 1e4
    return {
        "student huge": (huge_s, teacher),
        "teacher huge": (student, huge_t),
        "both huge": (huge_s, huge_t),
        "opposed": (huge_s, -huge_s),
        "sure and alike": (one_hot, one_hot),
        "sure and opposed": (one_hot, -one_hot),
        "student constant": (flat, teacher),
        "student constant, large": (high, teacher),
        "teacher constant": (student, flat),
        "both constant": (flat, high),
        "equal": (teacher, teacher),
        "tiny": (1e-12 * student, 1e-12 * teacher),
    }


@every_loss
def test_values_and_gradients_are_finite_at_extreme_logits(loss: Loss) -> None:
    batch = batch_of(torch.tensor([3, 3, 0, 1, 2, 9]))
    for case, pair in extreme_pairs().items():
        student, teacher = (z.float() for z in pair)
        values = terms(loss, student, teacher, batch)
        assert all(math.isfinite(value) for value in values.values()), (case, values)
        assert torch.isfinite(gradient(loss, student, teacher, batch)).all(), case


@every_loss
def test_float32_is_close_to_float64(loss: Loss) -> None:
    student, teacher, batch = random_pair(batch=8, classes=50)
    student, teacher = student.float(), teacher.float()
    exact = terms(loss, student.double(), teacher.double(), batch)
    assert terms(loss, student, teacher, batch) == pytest.approx(exact, rel=2e-5, abs=2e-5)
    outputs = loss(Outputs(student), Outputs(teacher), batch)
    assert all(value.dtype == torch.float32 and value.ndim == 0 for value in outputs.values())
    grad = gradient(loss, student, teacher, batch).double()
    exact_grad = gradient(loss, student.double(), teacher.double(), batch)
    assert (grad - exact_grad).norm() < 1e-4 * exact_grad.norm()


@every_loss
def test_a_batch_of_one_image_is_finite(loss: Loss) -> None:
    student, teacher, batch = random_pair(batch=1)
    assert torch.isfinite(total(loss, student, teacher, batch))
    assert torch.isfinite(gradient(loss, student, teacher, batch)).all()


@every_loss
def test_order_of_the_images_does_not_matter(loss: Loss) -> None:
    student, teacher, batch = random_pair()
    order = torch.randperm(len(student), generator=torch.Generator().manual_seed(1))
    shuffled = terms(loss, student[order], teacher[order], batch_of(batch.labels[order]))
    assert shuffled == pytest.approx(terms(loss, student, teacher, batch), rel=1e-9)


@every_loss
def test_only_logits_are_read_and_nothing_is_changed(loss: Loss) -> None:
    student, teacher, batch = random_pair()
    maps = (torch.full((8, 4, 2, 2), torch.nan, dtype=torch.float64),)
    full = [Outputs(z.clone(), maps, maps, maps[0][:, :, 0, 0]) for z in (student, teacher)]
    values = loss(full[0], full[1], batch)
    assert {name: value.item() for name, value in values.items()} == terms(
        loss, student, teacher, batch
    )
    assert torch.equal(full[0].logits, student)
    assert torch.equal(full[1].logits, teacher)


@every_loss
def test_weights_scale_their_terms(loss: Loss) -> None:
    inner = getattr(loss, "loss", loss)
    heavier = dataclasses.replace(inner, ce_weight=3 * inner.ce_weight)
    heavier = dataclasses.replace(loss, loss=heavier) if inner is not loss else heavier
    student, teacher, batch = random_pair()
    before, after = (terms(x, student, teacher, batch) for x in (loss, heavier))
    assert after == pytest.approx(before | {"ce": 3 * before["ce"]})


@every_loss
def test_no_value_is_read_on_the_host(loss: Loss) -> None:
    """On device meta a tensor has no values: reading one fails, as in a CUDA graph's capture."""
    student = torch.randn(6, 10, device="meta", requires_grad=True)
    teacher = torch.randn(6, 10, device="meta")
    batch = batch_of(torch.zeros(6, dtype=torch.int64))
    batch = dataclasses.replace(batch, labels=batch.labels.to("meta"))
    total(loss, student, teacher, batch).backward()
    assert student.grad is not None
    diagnostics = getattr(loss, "diagnostics", None)
    if diagnostics:
        logged = diagnostics(Outputs(student.detach()), Outputs(teacher), batch)
        assert all(value.device.type == "meta" for value in logged.values())


@pytest.mark.parametrize(
    ("method", "most"), [("ce", 12), ("kd", 30), ("dkd", 72), ("dist", 66), ("cmkd", 92)]
)
def test_a_step_takes_few_operations(method: str, most: int) -> None:
    """Most of them are a small kernel on a GPU, where the convolutions of a step are few."""
    student, teacher, batch = random_pair(batch=64, classes=100)
    student, teacher = student.float().requires_grad_(), teacher.float()
    loss = named(method)
    with Operations() as step:
        total(loss, student, teacher, batch).backward()
    assert len(step.names) <= most
    diagnostics = getattr(loss, "diagnostics", None)
    if diagnostics:
        with torch.no_grad(), Operations() as logging:
            diagnostics(Outputs(student), Outputs(teacher), batch)
        assert len(logging.names) <= 20


@pytest.mark.parametrize("method", [*METHODS, "dkd+ls", "kd+cmkd", "cmkd+ls+dist", "kd+ls+dist+ls"])
def test_names_round_trip(method: str) -> None:
    assert method_name(named(method)) == method


@pytest.mark.parametrize("loss", CMKD_VARIANTS.values(), ids=CMKD_VARIANTS.keys())
def test_the_name_of_a_variant_is_that_of_its_method(loss: Loss) -> None:
    assert method_name(loss) == "cmkd"


def test_the_methods_are_known() -> None:
    assert tuple(LOSSES)[:5] == ("ce", "kd", "dkd", "dist", "cmkd")
    assert (*LOSSES, "kd+ls") == METHODS


UNKNOWN = ("kdd", "", "kd+ls+ls", "+ls", "KD", "kd+", "kd+ls+x")


@pytest.mark.parametrize("method", UNKNOWN)
def test_unknown_methods_are_refused_with_the_known_ones(method: str) -> None:
    with pytest.raises(UserError, match=r"unknown method .*; known: ce, kd, .*kd\+ls"):
        named(method)


@pytest.mark.parametrize(
    ("method", "why"),
    [
        ("ce+ls", "every method has its cross-entropy; leave ce out"),
        ("kd+ce", "every method has its cross-entropy; leave ce out"),
        ("kd+at+kd", "has kd twice"),
        ("kd+kd+ls", "has kd twice"),
        ("kd+fitnet+ls", "fitnet compares features, [+]ls changes logits"),
    ],
)
def test_methods_without_a_meaning_are_refused_with_the_reason(method: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        named(method)


def test_a_loss_without_a_name_is_refused() -> None:
    class Other:
        ce_weight = 1.0

    with pytest.raises(UserError, match="unknown loss 'Other'"):
        method_name(Other())  # type: ignore[arg-type]


@every_loss
def test_a_loss_is_a_hashable_value_made_of_recordable_types(loss: Loss) -> None:
    assert hash(loss) == hash(dataclasses.replace(loss))
    assert isinstance(loss, Loss)
    parts = [loss, *(getattr(loss, field.name) for field in dataclasses.fields(loss))]
    assert all(type(part) in (*TYPES, float, int, bool, str) for part in parts)


@pytest.mark.parametrize("method", METHOD_LOSSES)
def test_only_cross_entropy_ignores_the_teacher(method: str) -> None:
    loss = METHOD_LOSSES[method]
    student, teacher, batch = random_pair()
    same = terms(loss, student, teacher, batch) == terms(loss, student, -teacher, batch)
    assert same == (method == "ce")
    assert getattr(loss, "uses_teacher", True) == (method != "ce")
