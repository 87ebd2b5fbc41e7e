"""How many students fit side by side into a GPU's memory."""

from dataclasses import replace

import pytest
import torch

from repro import estimate
from repro.estimate import cohort_size, memory_of
from repro.grid import expand
from repro.models import count_activations
from repro.profiles import IMAGENET_PROFILES, PROFILES
from repro.spec import Run

GPU = torch.device("cuda", 0)
IMAGENET = expand("imagenet-stronger", IMAGENET_PROFILES["paper"])
CIFAR = expand("stronger-teacher", PROFILES["paper"])
RESNET18_PARAMETERS = 11_689_512  # torchvision's, of a thousand classes


def of(network: str, runs: tuple[Run, ...] = IMAGENET) -> Run:
    return next(run for run in runs if run.network == network)


@pytest.fixture
def gibibytes(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return monkeypatch


def with_memory(patch: pytest.MonkeyPatch, gibibytes: float) -> None:
    free = int(gibibytes * 2**30)
    patch.setattr(torch.cuda, "mem_get_info", lambda _: (free, free))


def test_of_decoded_images_one_student_s_activations_are_there_at_a_time() -> None:
    need = memory_of(of("resnet18"))
    elements = 256 * count_activations("resnet18", 224)
    assert need == (3 * 4 * RESNET18_PARAMETERS, 2 * 2 * elements)  # bfloat16
    assert memory_of(replace(of("resnet18"), precision="fp32")).once == 2 * need.once
    assert memory_of(of("resnet18"), 8) == (need.each, need.once / 8)


def test_recorded_students_each_keep_their_activations() -> None:
    need = memory_of(of("resnet20", CIFAR))
    assert need.once == 0
    assert need.each > 4 * estimate.RECORDINGS * 2 * 64 * count_activations("resnet20", 32)


def test_a_large_teacher_does_not_part_its_students(gibibytes: pytest.MonkeyPatch) -> None:
    assert memory_of(of("resnet152")).once > 40 * 2**30
    with_memory(gibibytes, 16)
    assert cohort_size(IMAGENET, GPU) == 8


@pytest.mark.parametrize(("students", "size"), [(0.5, 1), (1.1, 1), (3.1, 3), (20, 8)])
def test_as_many_as_fit_beside_the_bank(
    gibibytes: pytest.MonkeyPatch, students: float, size: int
) -> None:
    runs = tuple(run for run in CIFAR if run.network == "resnet20" and run.teacher)
    bank = max(map(estimate.bank_bytes, runs))
    needed = max(memory_of(run).each for run in runs)
    with_memory(gibibytes, (bank + students * needed / estimate.ROOM) / 2**30)
    assert cohort_size(runs, GPU) == size
