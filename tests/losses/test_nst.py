from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from repro.losses import NST
from repro.losses.nst import discrepancy, patterns
from tests.losses.made import Case, made, terms
from tests.losses.reference import Array, cross_entropy


def mean_kernel(samples: Array, others: Array) -> float:
    return float(np.mean([[(x @ y) ** 2 for x in samples] for y in others]))


def channels(maps: Array) -> Array:
    """Of one image [C, H, W]: each channel as a vector, of norm 1 unless it is 0."""
    vectors = [channel.ravel() for channel in maps]
    return np.array([v / np.linalg.norm(v) if v.any() else v for v in vectors])


def reference(case: Case) -> float:
    total = 0.0
    for own, theirs in zip(case.student.features[1:], case.teacher.features[1:], strict=True):
        for x, y in zip(own.numpy(), theirs.numpy(), strict=True):
            a, b = channels(x), channels(y)
            square = mean_kernel(a, a) + mean_kernel(b, b) - 2 * mean_kernel(a, b)
            total += 50 * square / len(own)
    return total


def test_nst_equals_a_slow_reference() -> None:
    """Maps of 8, 4 and 2 pixels: more pixels than channels, and fewer."""
    case = made()
    expected = {
        "ce": cross_entropy(case.student.logits.numpy(), case.batch.labels.numpy()),
        "nst": reference(case),
    }
    found = {name: term.item() for name, term in terms(NST(), case).items()}
    assert found == pytest.approx(expected, rel=1e-7)  # 1e-10 is added to squared norms


@pytest.mark.parametrize("pixels", [4, 5, 6, 30])
def test_both_forms_of_the_discrepancy_are_that_of_the_kernel(pixels: int) -> None:
    a, b = (torch.randn(2, c, pixels, dtype=torch.float64) for c in (5, 3))
    squares = [
        mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y)
        for x, y in zip(a.numpy(), b.numpy(), strict=True)
    ]
    assert discrepancy(a, b).item() == pytest.approx(np.mean(squares), rel=1e-10)


def with_student(case: Case, *features: torch.Tensor) -> Case:
    return replace(case, student=replace(case.student, features=features))


def test_nst_is_zero_at_the_teacher_and_at_its_channels_in_another_order_and_number() -> None:
    case = made()
    copies = (-3 * torch.cat((f, f), dim=1).flip(1) for f in case.teacher.features)
    for student in (case.teacher.features, tuple(copies)):
        value = terms(NST(), with_student(case, *student))["nst"].item()
        assert value == pytest.approx(0, abs=1e-8)


def test_nst_is_positive_and_does_not_see_the_stem() -> None:
    case = made()
    stem, *stages = case.student.features
    before = terms(NST(), case)["nst"]
    assert before > 1
    assert terms(NST(), with_student(case, 0 * stem, *stages))["nst"] == before


def test_patterns_have_norm_1_or_are_zero() -> None:
    maps = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    maps[1, 2] = 0
    norms = patterns(maps).norm(dim=2).flatten().tolist()
    assert norms == pytest.approx([1, 1, 1, 1, 1, 0], rel=1e-9)


def test_larger_maps_are_averaged_on_either_side() -> None:
    case = made()
    small, tiny = (
        replace(side, features=tuple(F.avg_pool2d(f, 2) for f in side.features))
        for side in (case.student, case.teacher)
    )
    expected = reference(replace(case, student=small, teacher=tiny))
    for one in (replace(case, student=small), replace(case, teacher=tiny)):
        assert terms(NST(), one)["nst"].item() == pytest.approx(expected, rel=1e-7)
