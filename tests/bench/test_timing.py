"""Blocks: what is measured, what is warmed up, and that work is closed."""

import time
from collections.abc import Iterator

import pytest

from repro.bench.machine import peak_bytes, reset_peak, reset_resident_peak
from repro.bench.timing import Pace, Work, time_block
from tests.tiny import CPU


class Clock:
    """A clock that only work moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "perf_counter", made)
    return made


class Steps:
    """Steps that take the given seconds, the last of them for ever."""

    def __init__(self, clock: Clock, *seconds: float) -> None:
        self.clock, self.seconds = clock, seconds
        self.count, self.closed = 0, False

    def __call__(self) -> Work:
        try:
            for seconds in self._durations():
                self.count += 1
                self.clock.now += seconds
                yield 64
        finally:
            self.closed = True

    def _durations(self) -> Iterator[float]:
        yield from self.seconds
        while True:
            yield self.seconds[-1]


def test_the_first_steps_are_not_measured(clock: Clock) -> None:
    steps = Steps(clock, 100.0, 1.0)
    block = time_block(steps, CPU, Pace(seconds=10.0), warm_up_steps=2)
    assert (block.steps, block.seconds, block.images) == (10, 10.0, 640)
    assert block.images_per_second == 64
    assert block.step_seconds == 1
    assert steps.count == 12
    assert steps.closed


def test_short_steps_are_warmed_up_for_a_while(clock: Clock) -> None:
    steps = Steps(clock, 0.125)
    block = time_block(steps, CPU, Pace(seconds=5.0))
    assert block.steps == 40
    assert steps.count == 4 + 40


def test_long_steps_are_measured_all_the_same(clock: Clock) -> None:
    assert time_block(Steps(clock, 60.0), CPU, Pace(seconds=3.0)).steps == 2


def test_work_is_closed_when_it_fails(clock: Clock) -> None:
    steps = Steps(clock, 1.0)

    def failing() -> Work:
        work = steps()
        try:
            yield next(work)
            raise ValueError("broken")
        finally:
            work.close()

    with pytest.raises(ValueError, match="broken"):
        time_block(failing, CPU, Pace())
    assert steps.closed


@pytest.mark.skipif(not reset_resident_peak(), reason="the system keeps the peak")
def test_the_peak_is_that_since_the_reset() -> None:
    reset_peak(CPU)
    before = peak_bytes(CPU)
    assert before
    block = bytearray(b"x" * (64 << 20))
    during = peak_bytes(CPU)
    assert during
    assert during >= before + (60 << 20)
    del block
    reset_peak(CPU)
    after = peak_bytes(CPU)
    assert after
    assert after < during - (30 << 20)
