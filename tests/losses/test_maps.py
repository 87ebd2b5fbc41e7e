from dataclasses import replace

import numpy as np
import pytest
import torch

from repro.losses.maps import full_precision, paired, resized, stage_pairs, to_smaller
from repro.models import shapes
from tests.losses.made import made

FAMILIES = ("resnet8", "wrn_16_1", "ResNet50", "vgg8", "MobileNetV2", "ShuffleV1", "ShuffleV2")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_full_precision_is_float32_or_more(given: torch.dtype, expected: torch.dtype) -> None:
    assert full_precision(torch.ones(2, dtype=given)).dtype == expected


def test_the_larger_maps_become_means_of_their_blocks_on_either_side() -> None:
    large, small = torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 2)
    blocks = large.numpy().reshape(2, 3, 4, 2, 2, 4)
    means = np.array(
        [[[[b[i, :, j].mean() for j in (0, 1)] for i in range(4)] for b in c] for c in blocks]
    )
    for a, b in (to_smaller(large, small), to_smaller(small, large)[::-1]):
        np.testing.assert_allclose(a, means, rtol=1e-5, atol=1e-6)
        assert b is small


def test_maps_of_the_wanted_size_are_not_copied_and_smaller_ones_are_repeated() -> None:
    maps = torch.randn(2, 3, 2, 2)
    assert resized(maps, 2, 2) is maps
    assert torch.equal(resized(maps, 4, 4), maps.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_stage_pairs_start_behind_the_stem_and_leave_out_a_stage_without_partner() -> None:
    case = made()
    longer = replace(case.teacher, features=(*case.teacher.features, torch.ones(6, 2, 1, 1)))
    for teacher in (case.teacher, longer):
        pairs = stage_pairs(case.student, teacher)
        assert [a.shape[1] for a, _ in pairs] == [4, 6, 8]
        assert [b.shape[1] for _, b in pairs] == [5, 7, 9]


def test_the_teachers_maps_are_detached_and_the_students_are_not() -> None:
    one, other = torch.ones(1, 1, 1, 1).requires_grad_(), torch.ones(1, 1, 1, 1).requires_grad_()
    ((a, b),) = paired([one], [other])
    assert a.requires_grad
    assert not b.requires_grad


def test_networks_of_every_two_families_have_stages_that_can_be_compared() -> None:
    networks = [shapes(name, 100) for name in FAMILIES]
    for student in networks:
        for teacher in networks:
            pairs = [to_smaller(a, b) for a, b in stage_pairs(student, teacher)]
            assert len(pairs) >= 3
            assert all(a.shape[2:] == b.shape[2:] for a, b in pairs)
