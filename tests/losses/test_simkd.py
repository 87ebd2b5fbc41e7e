from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from repro.errors import UserError
from repro.losses import SimKD
from repro.losses.protocol import terms_of
from repro.models import num_params, shapes
from repro.outputs import Batch, Outputs
from tests.losses.made import Case, adapter, made, tensors_to, terms
from tests.losses.reference import Array, cross_entropy
from tests.losses.test_reviewkd import PAIRS, batch_norm, batch_of_one, convolve


def project(maps: Array, module: nn.Module) -> Array:
    """Three convolutions with normalisation by the batch and ReLU."""
    w = {name: value.detach().numpy() for name, value in module.state_dict().items()}
    for i in (0, 2, 4):
        maps = convolve(maps, w[f"layers.{i}.0.weight"])
        maps = batch_norm(maps, w[f"layers.{i}.1.weight"], w[f"layers.{i}.1.bias"])
        maps = np.maximum(maps, 0)
    return maps


def average(maps: Array, side: int) -> Array:
    n = maps.shape[2] // side
    return maps.reshape(*maps.shape[:2], side, n, side, n).mean(axis=(3, 5))


def of_size(outputs: Outputs, side: int) -> Outputs:
    """With last maps of other sides."""
    draw = torch.Generator().manual_seed(side)
    assert outputs.maps is not None
    batch, width = outputs.maps.shape[:2]
    maps = torch.randn(batch, width, side, side, generator=draw, dtype=torch.float64)
    return replace(outputs, maps=maps)


def random_adapter(loss: SimKD, case: Case) -> nn.Module:
    draw = torch.Generator().manual_seed(1)
    module = adapter(loss, case)
    assert module is not None
    for parameter in module.parameters():  # norms too are then unlike the identity
        parameter.data = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
    return module


@pytest.mark.parametrize(("student_side", "teacher_side"), [(2, 2), (8, 4), (2, 4)])
@pytest.mark.parametrize("factor", [1, 2])
def test_simkd_equals_a_slow_reference(student_side: int, teacher_side: int, factor: int) -> None:
    """The larger maps are averaged: the student's before the projector, the teacher's after."""
    case = made()
    student, teacher = of_size(case.student, student_side), of_size(case.teacher, teacher_side)
    case = replace(case, student=student, teacher=teacher)
    loss = SimKD(factor=factor, ce_weight=0.5, feature_weight=3.0)
    module = random_adapter(loss, case)
    found = {name: value.item() for name, value in terms(loss, case, module).items()}
    side = min(student_side, teacher_side)
    assert student.maps is not None
    assert teacher.maps is not None
    assert teacher.classifier is not None
    projected = project(average(student.maps.numpy(), side), module)
    weight, bias = (t.numpy() for t in teacher.classifier)
    logits = projected.mean(axis=(2, 3)) @ weight.T + bias
    expected = {
        "ce": 0.5 * cross_entropy(logits, case.batch.labels.numpy()),
        "feature": 3 * np.mean((projected - average(teacher.maps.numpy(), side)) ** 2),
    }
    assert found == pytest.approx(expected, rel=1e-9)


def test_simkd_is_zero_where_the_maps_are_the_teachers() -> None:
    """And the answers are the teacher's."""
    case, loss = made(), SimKD()
    module = adapter(loss, case)
    assert module is not None
    module.layers = nn.Identity()
    student = module.deploy(case.teacher)  # type: ignore[operator]
    values = terms_of(loss, student, case.teacher, case.batch, module)
    assert values["feature"].item() == 0
    torch.testing.assert_close(student.logits, case.teacher.logits, rtol=1e-12, atol=1e-12)


def test_what_is_deployed_fits_together() -> None:
    case = made()
    module = random_adapter(SimKD(), case)
    student = module.deploy(case.student)  # type: ignore[operator]
    weight, bias = student.classifier
    assert torch.equal(student.pooled, student.maps.mean(dim=(2, 3)))
    assert torch.equal(student.logits, student.pooled @ weight.T + bias)
    assert case.teacher.classifier is not None
    assert torch.equal(weight, case.teacher.classifier[0])
    assert torch.equal(bias, case.teacher.classifier[1])
    assert student.features is case.student.features


def test_the_teachers_classifier_is_a_copy_that_nobody_trains() -> None:
    case = made()
    module = adapter(SimKD(), case)
    assert module is not None
    assert case.teacher.classifier is not None
    assert {"weight", "bias"} <= dict(module.named_buffers()).keys()
    assert not {"weight", "bias"} & dict(module.named_parameters()).keys()
    case.teacher.classifier[0].zero_()
    assert module.weight.abs().sum() > 0  # type: ignore[operator]


def test_labels_teach_nothing() -> None:
    case = made()
    loss, module = SimKD(), random_adapter(SimKD(), case)
    gradients = []
    for labels in (case.batch.labels, (case.batch.labels + 1) % 5):
        values = terms(loss, replace(case, batch=replace(case.batch, labels=labels)), module)
        total = torch.stack(tuple(values.values())).sum()
        gradients.append(torch.autograd.grad(total, list(module.parameters())))
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    assert gradients[0][0].any()


def test_the_released_student_gives_the_maps_of_its_last_stage() -> None:
    case = made()
    changed = replace(case, student=of_size(case.student, 4))

    def feature(of: Case, loss: SimKD) -> Tensor:
        return terms(loss, of)["feature"]

    released, ours = SimKD(student_maps="stage"), SimKD()
    assert feature(case, released) == feature(changed, released)
    assert feature(case, ours) != feature(changed, ours)


@pytest.mark.parametrize(("student_maps", "channels"), [("last", 1280), ("stage", 160)])
def test_the_projector_begins_with_the_students_channels(student_maps: str, channels: int) -> None:
    with torch.device("meta"):
        module = SimKD(student_maps=student_maps).make_adapter(  # type: ignore[arg-type]
            shapes("MobileNetV2", 100), shapes("resnet32x4", 100), torch.zeros(0)
        )
    assert module.state_dict()["layers.0.0.weight"].shape == (128, channels, 1, 1)


def test_the_adapter_of_resnet32x4_and_resnet8x4_by_hand() -> None:
    own = teacher = 256
    inner = teacher // 2
    expected = own * inner + 9 * inner * inner + inner * teacher + 2 * (inner + inner + teacher)
    with torch.device("meta"):
        module = SimKD().make_adapter(
            shapes("resnet8x4", 100), shapes("resnet32x4", 100), torch.zeros(0)
        )
    assert num_params(module) == expected == 214_016


@pytest.mark.parametrize("pair", PAIRS, ids=":".join)
def test_every_pair_can_share_a_classifier(pair: tuple[str, str]) -> None:
    teacher, student = (shapes(name, 10) for name in pair)
    batch: Batch = tensors_to(batch_of_one(), "meta")
    with torch.device("meta"):
        module = SimKD().make_adapter(student, teacher, torch.zeros(0)).eval()
        deployed = module.deploy(student)
        values = SimKD()(deployed, teacher, batch, module)
    assert deployed.logits.shape == (1, 10)
    assert values["feature"].shape == ()


def test_a_factor_of_zero_is_refused() -> None:
    with pytest.raises(UserError, match=r"SimKD.factor must be 1 or more, not 0"):
        SimKD(factor=0)
