"""What holds for every method, with features, adapters and second views."""

import copy
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from repro.losses import (
    AT,
    CATKD,
    CC,
    LOSSES,
    METHODS,
    MLKD,
    PKT,
    RKD,
    TYPES,
    Loss,
    SimKD,
    named,
)
from repro.losses.protocol import diagnostics, uses_features, uses_teacher
from repro.outputs import Outputs
from tests.losses.made import Case, adapter, made, tensors_to, terms, total

SUMS = ("fitnet+cmkd", "crd+dist", "reviewkd+cmkd", "ctkd+ls", "mlkd+cmkd", "simkd+cmkd")
every_method = pytest.mark.parametrize("method", [*METHODS, *SUMS])


def tensors_of(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, tuple):
        return [tensor for item in value for tensor in tensors_of(item)]
    if isinstance(value, Outputs):
        return [t for field in fields(value) for t in tensors_of(getattr(value, field.name))]
    return []


def with_tensors(value: Any, tensors: Iterator[Tensor]) -> Any:
    """``value`` with its tensors replaced, in the order of ``tensors_of``."""
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, tuple):
        return tuple(with_tensors(item, tensors) for item in value)
    if isinstance(value, Outputs):
        changed = {f.name: with_tensors(getattr(value, f.name), tensors) for f in fields(value)}
        return Outputs(**changed)
    return value


def asking(outputs: Outputs) -> Outputs:
    """Leaves that require gradients."""
    return with_tensors(outputs, (t.detach().clone().requires_grad_() for t in tensors_of(outputs)))


STEP = 1e-6  # of central differences


@every_method
def test_gradients_are_exact(method: str) -> None:
    """Of all of the student's tensors, along five random directions."""
    loss, case = named(method), made(batch=4)
    case = replace(case, student=asking(case.student))
    module, leaves = adapter(loss, case), tensors_of(case.student)
    total(loss, case, module)  # constants of a first batch, such as CRD's, are set
    draw = torch.Generator().manual_seed(1)

    def objective(directions: list[Tensor], step: float) -> Tensor:
        moved = (x + step * d for x, d in zip(leaves, directions, strict=True))
        student = with_tensors(case.student, moved)
        return total(loss, replace(case, student=student), copy.deepcopy(module))  # as before it

    objective([torch.zeros_like(x) for x in leaves], 0.0).backward()
    for _ in range(5):
        directions = [torch.randn(x.shape, generator=draw, dtype=x.dtype) for x in leaves]
        measured = (objective(directions, STEP) - objective(directions, -STEP)) / (2 * STEP)
        pairs = zip(leaves, directions, strict=True)
        slope = sum((x.grad * d).sum().item() for x, d in pairs if x.grad is not None)
        assert slope == pytest.approx(measured.item(), rel=1e-5, abs=1e-5)


@every_method
def test_the_student_learns_and_the_teacher_does_not(method: str) -> None:
    loss = named(method)
    case = made()
    case = replace(case, student=asking(case.student), teacher=asking(case.teacher))
    module = adapter(loss, case)
    total(loss, case, module).backward()
    assert any(t.grad is not None and t.grad.any() for t in tensors_of(case.student))
    assert all(t.grad is None for t in tensors_of(case.teacher))
    if module is not None:
        assert all(p.grad is not None for p in module.parameters())


@every_method
def test_what_is_given_is_not_changed(method: str) -> None:
    loss, case, again = named(method), made(), made()
    total(loss, case)
    for mine, theirs in ((case.student, again.student), (case.teacher, again.teacher)):
        pairs = zip(tensors_of(mine), tensors_of(theirs), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


def like(outputs: Outputs, change: Any) -> Outputs:
    return with_tensors(outputs, (change(tensor) for tensor in tensors_of(outputs)))


def logits_of(outputs: Outputs, change: Any) -> Outputs:
    """``change`` of the logits alone, of both views."""
    assert outputs.second is not None
    second = replace(outputs.second, logits=change(outputs.second.logits))
    return replace(outputs, logits=change(outputs.logits), second=second)


def maps_of(outputs: Outputs, change: Any) -> Outputs:
    """``change`` of everything but the logits."""
    changed = like(outputs, change)
    assert outputs.second is not None
    assert changed.second is not None
    second = replace(changed.second, logits=outputs.second.logits)
    return replace(changed, logits=outputs.logits, second=second)


def one_hot(z: Tensor) -> Tensor:
    return 1e4 * (torch.arange(z.shape[1]) == 3).to(z.dtype).expand_as(z)


EXTREMES: dict[str, Any] = {
    "student sure": lambda s, t: (logits_of(s, one_hot), t),
    "teacher sure": lambda s, t: (s, logits_of(t, one_hot)),
    "sure and alike": lambda s, t: (logits_of(s, one_hot), logits_of(t, one_hot)),
    "opposed": lambda s, t: (logits_of(s, one_hot), logits_of(t, lambda z: -one_hot(z))),
    "huge logits": lambda s, t: tuple(logits_of(x, lambda z: 1e4 * z.sign()) for x in (s, t)),
    "constant logits": lambda s, t: tuple(logits_of(x, torch.ones_like) for x in (s, t)),
    "large constants": lambda s, t: (logits_of(s, lambda z: torch.full_like(z, -12345.6)), t),
    "tiny logits": lambda s, t: tuple(logits_of(x, lambda z: 1e-12 * z) for x in (s, t)),
    "student's features zero": lambda s, t: (maps_of(s, torch.zeros_like), t),
    "teacher's features zero": lambda s, t: (s, maps_of(t, torch.zeros_like)),
    "all features zero": lambda s, t: (maps_of(s, torch.zeros_like), maps_of(t, torch.zeros_like)),
    "all features constant": lambda s, t: (
        maps_of(s, torch.ones_like),
        maps_of(t, torch.ones_like),
    ),
    "huge features": lambda s, t: (maps_of(s, lambda x: 1e3 * x), maps_of(t, lambda x: 1e3 * x)),
    "all of the student zero": lambda s, t: (like(s, torch.zeros_like), t),
    "equal": lambda _s, t: (t, t),
}


def assert_finite(loss: Loss, case: Case) -> None:
    case = replace(case, student=asking(case.student))
    module = adapter(loss, case)
    values = terms(loss, case, module)
    assert all(torch.isfinite(value) for value in values.values()), values
    torch.stack(tuple(values.values())).sum().backward()
    leaves = tensors_of(case.student) + ([] if module is None else list(module.parameters()))
    assert all(torch.isfinite(leaf.grad).all() for leaf in leaves if leaf.grad is not None)


@every_method
@pytest.mark.parametrize("extreme", EXTREMES)
def test_values_and_gradients_are_finite(method: str, extreme: str) -> None:
    case = made(dtype=torch.float32)
    student, teacher = EXTREMES[extreme](case.student, case.teacher)
    assert_finite(named(method), replace(case, student=student, teacher=teacher))


@every_method
def test_a_batch_of_one_image_is_finite(method: str) -> None:
    assert_finite(named(method), made(batch=1, dtype=torch.float32))


@every_method
def test_float32_is_close_to_float64_and_every_term_is_a_float32_number(method: str) -> None:
    loss, exact = named(method), made(batch=8, classes=20)
    module = adapter(loss, exact)
    half = copy.deepcopy(module)
    found = terms(loss, tensors_to(exact, torch.float32), None if half is None else half.float())
    assert all(value.dtype == torch.float32 and value.ndim == 0 for value in found.values())
    expected = {name: value.item() for name, value in terms(loss, exact, module).items()}
    rounded = {name: value.item() for name, value in found.items()}
    assert rounded == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert all(name == "ce" or value >= -1e-6 for name, value in expected.items())


@every_method
def test_features_in_bfloat16_become_float32_terms(method: str) -> None:
    """As under autocast: logits and weights are float32, everything else is bfloat16."""
    loss, case = named(method), made(dtype=torch.float32)
    student, teacher = (
        maps_of(outputs, lambda x: x.bfloat16()) for outputs in (case.student, case.teacher)
    )
    student, teacher = (
        replace(x, classifier=y.classifier)
        for x, y in ((student, case.student), (teacher, case.teacher))
    )
    values = terms(loss, replace(case, student=student, teacher=teacher))
    assert all(v.dtype == torch.float32 and torch.isfinite(v) for v in values.values())


class ElsewhereOnly(TorchDispatchMode):
    """Refuses tensors on the CPU: on a GPU one would be copied, which waits for the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves((args, kwargs, result)):
            assert not isinstance(tensor, Tensor) or tensor.device.type != "cpu", str(func)
        return result


VARIANTS: dict[str, Loss] = {
    **{method: named(method) for method in (*METHODS, *SUMS)},
    "pkt without itself": PKT(with_itself=False),
    "mlkd of the paper": MLKD(variant="paper"),
    "cc of the paper": CC(formula="paper"),
    "at by norms": AT(distance="norm"),
    "simkd of stages": SimKD(student_maps="stage"),
    "rkd of units": RKD(unit_features=True),
    "catkd normalised": CATKD(normalize=True),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_step_neither_waits_for_the_device_nor_copies_to_it(name: str) -> None:
    """On device meta a tensor has no values: reading one fails, as in a CUDA graph's capture."""
    loss, case = VARIANTS[name], made(dtype=torch.float32)
    module = adapter(loss, case)
    there = tensors_to(case, "meta")
    there = replace(there, student=asking(there.student))
    module = None if module is None else module.to("meta")
    with ElsewhereOnly():
        total(loss, there, module).backward()
        logged = diagnostics(loss, there.student, there.teacher, there.batch)
    assert all(value.device.type == "meta" for value in logged.values())


@every_method
def test_a_method_says_what_it_reads(method: str) -> None:
    """A loss that does not read features or second views works without, to the same number."""
    loss, case = named(method), made()
    if uses_features(loss):
        return
    bare = [
        Outputs(x.logits, second=x.second and Outputs(x.second.logits))
        for x in (case.student, case.teacher)
    ]
    module = adapter(loss, case)
    again = copy.deepcopy(module)
    without = replace(case, student=bare[0], teacher=bare[1])
    assert terms(loss, without, again) == terms(loss, case, module)


@every_method
def test_only_cross_entropy_ignores_the_teacher(method: str) -> None:
    loss, case = named(method), made()
    other = replace(case, teacher=made(seed=1).teacher)
    module = adapter(loss, case)
    same = terms(loss, case, module) == terms(loss, other, copy.deepcopy(module))
    assert same == (method == "ce") == (not uses_teacher(loss))


@every_method
def test_a_second_loss_of_the_same_seed_starts_equal(method: str) -> None:
    """And alone as in front of a sum."""
    loss, case = named(method), made()
    one, other = adapter(loss, case), adapter(named(method), case)
    if one is None or other is None:
        return
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    assert all(torch.equal(mine, theirs) for mine, theirs in pairs)


def test_every_loss_has_a_type_in_records() -> None:
    assert set(LOSSES.values()) <= set(TYPES)
    assert len({cls.__name__ for cls in TYPES}) == len(TYPES)
