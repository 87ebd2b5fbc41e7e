from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from repro.errors import UserError
from repro.losses import CATKD
from repro.models import shapes
from repro.outputs import Batch, Outputs
from tests.losses.made import Case, made, tensors_to, terms
from tests.losses.reference import Array, cross_entropy
from tests.losses.test_reviewkd import PAIRS, batch_of_one
from tests.losses.test_simkd import of_size


def activations(outputs: Outputs, resolution: int, *, normalize: bool) -> Array:
    """Class by class and pixel by pixel, then averaged: sides and resolution are powers of 2."""
    assert outputs.maps is not None
    assert outputs.classifier is not None
    maps, weight = outputs.maps.numpy(), outputs.classifier[0].numpy()
    batch, _, side, _ = maps.shape
    result = np.zeros((batch, len(weight), resolution, resolution))
    for b, k, row, column in np.ndindex(result.shape):
        rows = pixels(row, side, resolution)
        columns = pixels(column, side, resolution)
        values = [weight[k] @ maps[b, :, i, j] for i in rows for j in columns]
        result[b, k, row, column] = np.mean(values)
    if normalize:
        result /= np.sqrt((result**2).sum(axis=(2, 3), keepdims=True))
    return result


def pixels(part: int, side: int, resolution: int) -> range:
    """Those of one part; of a map with fewer pixels than parts, the one that holds the part."""
    if side < resolution:
        return range(part * side // resolution, part * side // resolution + 1)
    return range(part * side // resolution, (part + 1) * side // resolution)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(
    ("student_side", "teacher_side", "resolution"), [(4, 4, 2), (8, 4, 4), (2, 4, 4), (2, 8, 1)]
)
def test_catkd_equals_a_slow_reference(
    student_side: int, teacher_side: int, resolution: int, normalize: bool
) -> None:
    case = made(classes=7)
    student, teacher = of_size(case.student, student_side), of_size(case.teacher, teacher_side)
    case = replace(case, student=student, teacher=teacher)
    loss = CATKD(cam_weight=3.0, ce_weight=0.5, resolution=resolution, normalize=normalize)
    one, other = (activations(x, resolution, normalize=normalize) for x in (student, teacher))
    expected = {
        "ce": 0.5 * cross_entropy(student.logits.numpy(), case.batch.labels.numpy()),
        "cam": 3 * np.mean((one - other) ** 2),
    }
    found = {name: value.item() for name, value in terms(loss, case).items()}
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("normalize", [False, True])
def test_catkd_is_zero_at_the_teacher(normalize: bool) -> None:
    case = made()
    case = replace(case, student=case.teacher)
    assert terms(CATKD(normalize=normalize), case)["cam"].item() == 0


def bare_logits(outputs: Outputs) -> Tensor:
    assert outputs.pooled is not None
    assert outputs.classifier is not None
    return outputs.pooled @ outputs.classifier[0].T


def test_at_one_pixel_it_is_the_squared_error_of_the_logits_without_their_bias() -> None:
    case = made()
    own, target = (bare_logits(outputs) for outputs in (case.student, case.teacher))
    found = terms(CATKD(resolution=1, cam_weight=1.0), case)["cam"]
    torch.testing.assert_close(found, F.mse_loss(own, target))


def scaled(case: Case, factor: float) -> Case:
    assert case.student.maps is not None
    return replace(case, student=replace(case.student, maps=factor * case.student.maps))


def test_normalised_maps_have_no_scale() -> None:
    case, loss = made(), CATKD(normalize=True)
    expected = terms(loss, case)["cam"].item()
    assert terms(loss, scaled(case, 1e-6))["cam"].item() == pytest.approx(expected, rel=1e-9)
    assert terms(loss, scaled(case, 1e6))["cam"].item() == pytest.approx(expected, rel=1e-9)


def test_a_map_of_norm_zero_stays_zero() -> None:
    """Against maps of norm 1 with 4 pixels: 1/4."""
    found = terms(CATKD(normalize=True, cam_weight=1.0), scaled(made(), 0.0))["cam"]
    assert found.item() == pytest.approx(1 / 4)


def test_the_students_classifier_learns_from_its_maps() -> None:
    case = made()
    assert case.student.classifier is not None
    weight = case.student.classifier[0].clone().requires_grad_()
    student = replace(case.student, classifier=(weight, case.student.classifier[1]))
    cam = terms(CATKD(), replace(case, student=student))["cam"]
    (gradient,) = torch.autograd.grad(cam, weight)
    assert (gradient.abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("pair", PAIRS, ids=":".join)
def test_every_pair_can_be_compared(pair: tuple[str, str]) -> None:
    teacher, student = (shapes(name, 10) for name in pair)
    batch: Batch = tensors_to(batch_of_one(), "meta")
    assert CATKD(resolution=4)(student, teacher, batch)["cam"].shape == ()


def test_a_resolution_of_zero_is_refused() -> None:
    with pytest.raises(UserError, match=r"CATKD.resolution must be 1 or more, not 0"):
        CATKD(resolution=0)
