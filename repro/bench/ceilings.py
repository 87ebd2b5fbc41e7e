"""What the machine can do at most, and the shortest time that a step of a cohort can take.

A step needs at least the time of its products at the measured peak rate, and at least the time of
moving its activations at the measured copying rate: the faster one of memory and of the caches, as
a map may be read while it is still there. Fused operations would move less than is counted here.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F

from repro.bench.cases import Case
from repro.bench.machine import synchronize
from repro.models import MODELS, activation_elements, count_macs
from repro.spec import Precision
from repro.train.teacher import fold_batch_norms

DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
LEAST_TIMES = 3
PASSES = 3  # of a student's products: forward, and twice that backward
# Activations of a student: written and read forward; backward the gradient is written and read and
# the activation read again. Of a teacher: written and read.
STUDENT_TOUCHES, TEACHER_TOUCHES = 5, 2


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """``matrix`` [n, n] of the GEMM; images [b, c, 16, 16] of the convolution, c to c; ``copied``
    bytes, far more than caches hold, and those of a ``map``: resnet20's first ones at batch 64."""

    matrix: int
    images: int
    channels: int
    copied: int = 512 << 20
    map: int = 4 * 64 * 16 * 32 * 32


SIZES = {
    "cpu": Sizes(matrix=2048, images=64, channels=256),
    "cuda": Sizes(matrix=8192, images=256, channels=512, copied=2 << 30),
}


@dataclass(frozen=True)
class Ceilings:
    """The best rates seen. FLOP: one multiplication or one addition; a copied byte counts twice, as
    it is read and written. ``cached_``: of copying one map over and over."""

    flops_per_second: dict[Precision, float]
    bytes_per_second: float
    cached_bytes_per_second: float


def measure(
    device: torch.device, precisions: Iterable[Precision], seconds: float, sizes: Sizes
) -> Ceilings:
    """Each rate is the best of repetitions that take about ``seconds``."""
    flops = {}
    for precision in precisions:
        works = (_gemm, _convolution)
        made = [work(sizes, device, DTYPES[precision]) for work in works]
        flops[precision] = max(n / _shortest(work, device, seconds) for work, n in made)
    rates = [_copying(size, device, seconds) for size in (sizes.copied, sizes.map)]
    return Ceilings(flops, *rates)


def _copying(size: int, device: torch.device, seconds: float) -> float:
    """Bytes read and written per second by copies of ``size`` bytes."""
    source = torch.zeros(size // 4, device=device)
    target = torch.ones_like(source)
    return 2 * 4 * source.numel() / _shortest(lambda: target.copy_(source), device, seconds)


def _gemm(
    sizes: Sizes, device: torch.device, dtype: torch.dtype
) -> tuple[Callable[[], Any], float]:
    """A product of square matrices, and its FLOPs."""
    n = sizes.matrix
    a, b = (torch.randn(n, n, device=device).to(dtype) for _ in range(2))
    return lambda: a @ b, 2.0 * n**3


def _convolution(
    sizes: Sizes, device: torch.device, dtype: torch.dtype
) -> tuple[Callable[[], Any], float]:
    """A 3x3 convolution, channels_last, and its FLOPs with the border's."""
    c = sizes.channels
    images = torch.randn(sizes.images, c, 16, 16, device=device).to(dtype)
    weight = torch.randn(c, c, 3, 3, device=device).to(dtype)
    images, weight = (t.to(memory_format=torch.channels_last) for t in (images, weight))
    flops = 2.0 * sizes.images * 16 * 16 * 9 * c**2
    return lambda: F.conv2d(images, weight, padding=1), flops


@torch.no_grad()
def _shortest(work: Callable[[], Any], device: torch.device, seconds: float) -> float:
    work()  # warm-up
    times: list[float] = []
    while len(times) < LEAST_TIMES or sum(times) < seconds:
        synchronize(device)
        began = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - began)
    return min(times)


@cache
def network_elements(name: str, *, folded: bool = False) -> int:
    """Activation elements of a network for one image, on the meta device: nothing is computed.

    ``folded``: without its BatchNorms, as a teacher runs.
    """
    with torch.device("meta"):
        model = MODELS[name](100).eval()
        model = fold_batch_norms(model) if folded else model
        return activation_elements(model, torch.empty(1, 3, 32, 32))


def step_macs(case: Case) -> float:
    """Multiply-accumulates of a cohort's step for one image; looking outputs up costs none."""
    teacher, student = case.networks
    live = count_macs(teacher) if case.teacher == "live" else 0
    return float(PASSES * case.cohort * count_macs(student) + live)


def step_bytes(case: Case) -> float:
    """Bytes of activations that a cohort's step moves for one image."""
    teacher, student = case.networks
    live = network_elements(teacher, folded=True) if case.teacher == "live" else 0
    elements = STUDENT_TOUCHES * case.cohort * network_elements(student) + TEACHER_TOUCHES * live
    return float(elements * DTYPES[case.precision].itemsize)


def floor_images_per_second(case: Case, ceilings: Ceilings) -> float:
    """Student images per second of a step that takes no longer than it must."""
    products = 2 * step_macs(case) / ceilings.flops_per_second[case.precision]
    fastest = max(ceilings.bytes_per_second, ceilings.cached_bytes_per_second)
    moving = step_bytes(case) / fastest
    return case.cohort / max(products, moving)
