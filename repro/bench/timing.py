"""Timing a block of steps: opened, warmed up, measured, closed."""

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch

from repro.bench.machine import peak_bytes, reset_peak, synchronize

Work = Generator[int, None, None]  # each next() is one step; it gives the student images learned
CUDA_WARM_UP_STEPS = 5  # more than the engine records before it only replays


@dataclass(frozen=True, kw_only=True)
class Pace:
    """``seconds`` a measured block should take, in at least ``least_steps``."""

    seconds: float = 2.5
    least_steps: int = 2

    @property
    def warm_up_seconds(self) -> float:
        return 0.1 * self.seconds


@dataclass(frozen=True, kw_only=True)
class Block:
    """``seconds`` of ``steps`` steps that learned ``images`` student images; its peak memory."""

    images: int
    steps: int
    seconds: float
    peak_bytes: int | None

    @property
    def images_per_second(self) -> float:
        return self.images / self.seconds

    @property
    def step_seconds(self) -> float:
        return self.seconds / self.steps


def time_block(
    start: Callable[[], Work], device: torch.device, pace: Pace, *, warm_up_steps: int = 1
) -> Block:
    """One block of the work that ``start`` gives; building and warming up are not measured.

    Every block builds its work anew and frees it: so the peak memory is that of this work, and no
    case finds caches that another has warmed.
    """
    reset_peak(device)
    work = start()
    try:
        expected = _warm_up(work, device, pace, warm_up_steps)
        steps = max(pace.least_steps, round(pace.seconds / expected))
        seconds, images = _seconds(work, device, steps)
        return Block(images=images, steps=steps, seconds=seconds, peak_bytes=peak_bytes(device))
    finally:
        work.close()


def _warm_up(work: Work, device: torch.device, pace: Pace, steps: int) -> float:
    """At least ``steps`` steps; the seconds of the last one."""
    left = max(steps, CUDA_WARM_UP_STEPS) if device.type == "cuda" else steps
    total = last = 0.0
    while left > 0 or total < pace.warm_up_seconds:
        last, _ = _seconds(work, device, 1)
        total += last
        left -= 1
    return last


def _seconds(work: Work, device: torch.device, steps: int) -> tuple[float, int]:
    synchronize(device)
    began = time.perf_counter()
    images = sum(next(work) for _ in range(steps))
    synchronize(device)
    return time.perf_counter() - began, images
