from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch
from torch import nn

from repro.losses import OFD
from repro.losses.ofd import Connector, mean_negative, partial_l2
from repro.models import num_params, shapes
from repro.outputs import Outputs
from tests.losses.made import Case, adapter, made, terms
from tests.losses.reference import Array, cross_entropy


def connected(maps: Array, weight: Array) -> Array:
    """A 1x1 convolution, then BatchNorm with its first weights."""
    maps = np.einsum("bchw,dc->bdhw", maps, weight[:, :, 0, 0])
    mean, var = maps.mean(axis=(0, 2, 3)), maps.var(axis=(0, 2, 3))
    return (maps - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]


def distance(student: float, teacher: float, margin: float) -> float:
    """Of two numbers, by the paper's two equations."""
    target = teacher if teacher > margin else margin
    if student <= target <= 0:
        return 0.0
    return (student - target) ** 2


def with_adapter(case: Case) -> tuple[nn.Module, list[Connector]]:
    module = adapter(OFD(), case)
    assert module is not None
    return module, [child for child in module.children() if isinstance(child, Connector)]


def reference(case: Case, connectors: list[Connector]) -> float:
    own, theirs = case.student.preactivations[1:], case.teacher.preactivations[1:]
    total = 0.0
    for level, (connector, s, t) in enumerate(zip(connectors, own, theirs, strict=True)):
        maps = connected(s.numpy(), next(connector.parameters()).detach().numpy())
        for c in range(t.shape[1]):
            values = t[:, c].numpy().ravel()
            margin = values[values < 0].mean()
            pairs = zip(maps[:, c].ravel(), values, strict=True)
            total += sum(distance(x, y, margin) for x, y in pairs) / 2 ** (2 - level)
    return 1e-3 * total / len(own[0])


def test_ofd_equals_a_slow_reference() -> None:
    case = made()
    module, connectors = with_adapter(case)
    expected = {
        "ce": cross_entropy(case.student.logits.numpy(), case.batch.labels.numpy()),
        "ofd": reference(case, connectors),
    }
    found = {name: term.item() for name, term in terms(OFD(), case, module).items()}
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_margin_of_a_normal_distribution_is_that_of_the_released_formula() -> None:
    """m = mean - std pdf(mean / std) / cdf(-mean / std): the paper's appendix A."""
    draw = torch.Generator().manual_seed(0)
    mean, std = torch.tensor([0.5, -1.0, 0.0]), torch.tensor([1.0, 2.0, 0.1])
    maps = torch.randn(400, 3, 16, 16, generator=draw) * std[:, None, None] + mean[:, None, None]
    ratio = (mean / std).numpy()
    expected = mean.numpy() - std.numpy() * scipy.stats.norm.pdf(ratio) / scipy.stats.norm.cdf(
        -ratio
    )
    np.testing.assert_allclose(mean_negative(maps).flatten(), expected, rtol=0.02)


def test_a_channel_without_negative_values_has_margin_0() -> None:
    maps = torch.tensor([[1.0, 2.0], [0.0, 0.0], [-1.0, 3.0], [-2.0, -4.0]])[None, :, None]
    assert mean_negative(maps).flatten().tolist() == [0, 0, -1, -3]


@pytest.mark.parametrize(
    ("student", "target", "expected"),
    [(2, 1, 1), (-1, 1, 4), (0.5, -0.5, 1), (-0.2, -0.5, 0.09), (-2, -0.5, 0), (-0.5, -0.5, 0)],
)
def test_the_partial_distance_ignores_what_stays_below_a_negative_target(
    student: float, target: float, expected: float
) -> None:
    a, b = (torch.full((1, 1, 1, 1), float(x)) for x in (student, target))
    assert partial_l2(a, b).item() == pytest.approx(expected)


def test_how_negative_the_teacher_is_below_its_margin_does_not_matter() -> None:
    case = made()
    module, connectors = with_adapter(case)
    margins = (torch.zeros(1), *(connector.margin for connector in connectors))
    lower = tuple(
        torch.where(t < m, 10 * t, t)
        for t, m in zip(case.teacher.preactivations, margins, strict=True)
    )
    other = replace(case, teacher=replace(case.teacher, preactivations=lower))
    assert terms(OFD(), other, module)["ofd"] == terms(OFD(), case, module)["ofd"]


def test_the_teachers_maps_are_averaged_to_the_students_size_or_repeated() -> None:
    case = made()
    module = adapter(OFD(), case)
    double = tuple(
        t.repeat_interleave(2, 2).repeat_interleave(2, 3) for t in case.teacher.preactivations
    )
    large = replace(case, teacher=replace(case.teacher, preactivations=double))
    before, after = (terms(OFD(), c, module)["ofd"].item() for c in (case, large))
    assert after == pytest.approx(before, rel=1e-12)
    wide = tuple(
        s.repeat_interleave(2, 2).repeat_interleave(2, 3) for s in case.student.preactivations
    )
    large = replace(case, student=replace(case.student, preactivations=wide))
    after = terms(OFD(), large, module)["ofd"].item()
    assert after == pytest.approx(4 * before, rel=1e-12)


def test_the_last_stages_are_paired_where_one_network_has_more() -> None:
    case = made()
    longer = (torch.zeros(6, 2, 16, 16).double(), *case.teacher.preactivations)
    other = replace(case, teacher=replace(case.teacher, preactivations=longer))
    module = adapter(OFD(), case)
    assert terms(OFD(), other, module)["ofd"] == terms(OFD(), case, module)["ofd"]


def zeros(name: str) -> Outputs:
    maps = tuple(torch.zeros(1, *m.shape[1:]) for m in shapes(name, 100).preactivations)
    return Outputs(logits=torch.zeros(1, 100), preactivations=maps)


@pytest.mark.parametrize(
    ("student", "teacher", "channels"),
    [
        ("resnet8x4", "resnet32x4", ((64, 64), (128, 128), (256, 256))),
        ("resnet8x4", "vgg13", ((64, 256), (128, 512), (256, 512))),
        ("MobileNetV2", "ResNet50", ((12, 256), (16, 512), (48, 1024), (160, 2048))),
    ],
)
def test_the_connectors_parameters(
    student: str, teacher: str, channels: tuple[tuple[int, int], ...]
) -> None:
    module = OFD().make_adapter(shapes(student, 100), zeros(teacher), torch.empty(0))
    assert num_params(module) == sum(a * b + 2 * b for a, b in channels)
