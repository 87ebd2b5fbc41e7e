from dataclasses import replace

import numpy as np
import pytest
import scipy.signal
import torch

from repro.errors import UserError
from repro.losses import FitNet
from repro.losses.fitnet import regressor
from repro.models import num_params, shapes
from tests.losses.made import adapter, made, terms
from tests.losses.reference import Array, cross_entropy
from tests.losses.test_maps import FAMILIES


def normalised(maps: Array) -> Array:
    """BatchNorm with its first weights (1 and 0), then ReLU."""
    channels = [maps[:, c] for c in range(maps.shape[1])]
    scaled = [(x - x.mean()) / np.sqrt(x.var() + 1e-5) for x in channels]
    return np.maximum(np.stack(scaled, axis=1), 0)


def convolved(maps: Array, weight: Array, *, padding: int, stride: int) -> Array:
    """A convolution; ``weight`` [out, in, k, k]."""
    maps = np.pad(maps, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    return np.array(
        [
            [
                sum(
                    scipy.signal.correlate2d(x, w, mode="valid")
                    for x, w in zip(image, kernel, strict=True)
                )
                for kernel in weight
            ]
            for image in maps
        ]
    )[:, :, ::stride, ::stride]


def spread(maps: Array, weight: Array) -> Array:
    """A transposed 4x4 convolution of stride 2 and padding 1; ``weight`` [in, out, 4, 4]."""
    batch, channels, height, width = maps.shape
    result = np.zeros((batch, weight.shape[1], 2 * height + 2, 2 * width + 2))
    for b, c, i, j in np.ndindex(batch, channels, height, width):
        result[b, :, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += maps[b, c, i, j] * weight[c]
    return result[:, :, 1:-1, 1:-1]


@pytest.mark.parametrize(
    ("student_size", "teacher_size", "kernel"),
    [(4, 4, 1), (8, 4, 3), (4, 8, 4), (8, 2, 7), (6, 4, 3)],
)
def test_fitnet_equals_a_slow_reference(student_size: int, teacher_size: int, kernel: int) -> None:
    draw = torch.Generator().manual_seed(0)
    maps, hint = (
        torch.randn(3, c, size, size, generator=draw, dtype=torch.float64)
        for c, size in ((2, student_size), (5, teacher_size))
    )
    case = made(batch=3)
    student = replace(case.student, features=(*case.student.features[:2], maps))
    teacher = replace(case.teacher, features=(*case.teacher.features[:2], hint))
    case = replace(case, student=student, teacher=teacher)
    module = adapter(FitNet(), case)
    assert module is not None
    weight = next(module.parameters()).detach().numpy()
    assert weight.shape[2:] == (kernel, kernel)
    if kernel == 4:
        guess = spread(maps.numpy(), weight)
    else:
        halves = student_size == 2 * teacher_size
        guess = convolved(maps.numpy(), weight, padding=int(halves), stride=1 + halves)
    expected = {
        "ce": cross_entropy(student.logits.numpy(), case.batch.labels.numpy()),
        "hint": 100 * np.mean((normalised(guess) - hint.numpy()) ** 2),
    }
    found = {name: term.item() for name, term in terms(FitNet(), case, module).items()}
    assert found == pytest.approx(expected, rel=1e-9)


def test_fitnet_is_zero_where_the_regressor_is_right() -> None:
    case = made()
    module = adapter(FitNet(), case)
    assert module is not None
    hints = list(case.teacher.features)
    hints[2] = module(case.student.features[2]).detach()
    case = replace(case, teacher=replace(case.teacher, features=tuple(hints)))
    assert terms(FitNet(), case, module)["hint"] == 0


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
def test_the_hint_is_the_chosen_map_alone(layer: int) -> None:
    case, other, loss = made(), made(seed=1), FitNet(hint_layer=layer)
    module = adapter(loss, case)
    before = terms(loss, case, module)["hint"]
    for i in range(4):
        hints = list(case.teacher.features)
        hints[i] = other.teacher.features[i]
        changed = replace(case, teacher=replace(case.teacher, features=tuple(hints)))
        assert (terms(loss, changed, module)["hint"] != before) == (i == layer)


@pytest.mark.parametrize(
    ("student", "teacher", "parameters"),
    [
        ("resnet8x4", "resnet32x4", 128 * 128 + 2 * 128),  # 16 and 16 pixels
        ("MobileNetV2", "vgg13", 16 * 256 + 2 * 256),  # 8 and 8
        ("ShuffleV1", "resnet32x4", 16 * 480 * 128 + 2 * 128),  # 8 and 16
        ("resnet8x4", "vgg13", 9 * 128 * 256 + 2 * 256),  # 16 and 8
    ],
)
def test_the_regressors_of_the_benchmark(student: str, teacher: str, parameters: int) -> None:
    own, hint = (shapes(name, 100).features[2] for name in (student, teacher))
    module = regressor(own, hint)
    assert num_params(module) == parameters
    assert module.to("meta")(own.expand(2, -1, -1, -1)).shape[1:] == hint.shape[1:]


def test_networks_of_every_two_families_have_a_regressor_at_the_default_layer() -> None:
    sides = {shapes(name, 100).features[2].shape[2] for name in FAMILIES}
    for side in sides:
        for target in sides:
            maps = torch.randn(1, 2, side, side)
            hint = torch.empty(1, 3, target, target)
            assert regressor(maps, hint)(maps).shape == hint.shape


def test_a_layer_that_a_network_lacks_is_refused() -> None:
    with pytest.raises(UserError, match=r"hint_layer must be below 4.*not 4"):
        adapter(FitNet(hint_layer=4), made())


def test_maps_far_smaller_than_the_teachers_are_refused() -> None:
    with pytest.raises(UserError, match="from 2 to 8 pixels"):
        regressor(torch.empty(1, 1, 2, 2), torch.empty(1, 1, 8, 8))
