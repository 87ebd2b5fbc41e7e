"""The floor of a step, against counts made by hand."""

import pytest
import torch
from torch import nn

from repro.bench.cases import Case
from repro.bench.ceilings import (
    Ceilings,
    Sizes,
    floor_images_per_second,
    measure,
    network_elements,
    step_bytes,
    step_macs,
)
from repro.models import activation_elements, count_macs
from tests.tiny import CPU

MACS = {name: count_macs(name) for name in ("resnet56", "resnet20")}
# Outputs of stem (16 x 32 x 32, normalised), of two convolutions, two BatchNorms and a ReLU in each
# of 9 blocks, of a convolution and a BatchNorm in two projections, of the classifier.
STAGES = {16 * 32 * 32: 3, 32 * 16 * 16: 3, 64 * 8 * 8: 3}
RESNET20_ELEMENTS = (
    2 * 16 * 32 * 32
    + sum(5 * maps * blocks for maps, blocks in STAGES.items())
    + 2 * (32 * 16 * 16 + 64 * 8 * 8)
    + 100
)
RESNET20_FOLDED = (  # without the BatchNorms
    16 * 32 * 32
    + sum(3 * maps * blocks for maps, blocks in STAGES.items())
    + (32 * 16 * 16 + 64 * 8 * 8)
    + 100
)


def test_a_two_layer_network_is_counted_by_hand() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),  # 4 x 16 x 16
        nn.Identity(),  # writes nothing
        nn.Sequential(nn.Flatten(), nn.Linear(1024, 10)),  # a view, counted as a layer; 10
    )
    images = torch.empty(2, 3, 32, 32)
    assert activation_elements(network, images) == 2 * (1024 + 1024 + 10)
    assert not network[0]._forward_hooks


def test_a_resnet_is_counted_by_hand() -> None:
    assert network_elements("resnet20") == RESNET20_ELEMENTS
    assert network_elements("resnet20", folded=True) == RESNET20_FOLDED


def test_a_step_moves_activations_five_times_and_the_teachers_twice() -> None:
    one = Case(pair="resnet20:resnet20", cohort=1)
    assert step_bytes(one) == 4 * (5 * RESNET20_ELEMENTS + 2 * RESNET20_FOLDED)
    eight = Case(pair="resnet20:resnet20", cohort=8, precision="bf16")
    assert step_bytes(eight) == 2 * (5 * 8 * RESNET20_ELEMENTS + 2 * RESNET20_FOLDED)
    banked = Case(pair="resnet56:resnet20", cohort=1, teacher="bank")
    assert step_bytes(banked) == 4 * 5 * RESNET20_ELEMENTS


def test_a_step_computes_three_passes_a_student_and_one_of_the_teacher() -> None:
    case = Case(pair="resnet56:resnet20", cohort=8)
    assert step_macs(case) == 3 * 8 * MACS["resnet20"] + MACS["resnet56"]


@pytest.mark.parametrize(
    ("flops", "rate", "seconds"),
    [
        (2 * 7.0, 1e30, (3 * MACS["resnet20"] + MACS["resnet56"]) / 7),  # two FLOPs a MAC
        (1e30, 7.0, 5 * 4 * RESNET20_ELEMENTS / 7),
    ],
)
def test_the_floor_is_the_slower_of_products_and_bytes(
    flops: float, rate: float, seconds: float
) -> None:
    teacher = "live" if rate > flops else "bank"
    case = Case(pair="resnet56:resnet20", cohort=1, teacher=teacher)
    for rates in ((rate, 0.0), (0.0, rate)):  # of memory and of caches: the faster one counts
        ceilings = Ceilings({"fp32": flops}, *rates)
        assert floor_images_per_second(case, ceilings) == pytest.approx(1 / seconds)


def test_ceilings_are_measured_for_each_precision() -> None:
    sizes = Sizes(matrix=32, images=2, channels=8, copied=1 << 16, map=1 << 12)
    found = measure(CPU, ("fp32", "bf16"), 0.0, sizes)
    assert found.flops_per_second.keys() == {"fp32", "bf16"}
    assert (
        min(*found.flops_per_second.values(), found.bytes_per_second, found.cached_bytes_per_second)
        > 0
    )
