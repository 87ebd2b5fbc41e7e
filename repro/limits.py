"""When to stop: a signal, or the end of the time that was given."""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from repro.errors import UserError
from repro.runtime import Stopped

MARGIN = 1.1  # an epoch is started if this many times the last one's seconds are left
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Interrupted(Stopped):
    """A signal asked for the end; ``exit_code`` is 128 + its number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number, self.exit_code = number, 128 + number

    def __reduce__(self) -> tuple[type["Interrupted"], tuple[int]]:
        return Interrupted, (self.number,)  # it travels between processes


class OutOfTime(Stopped):
    """The time of --max-time is up, or the next epoch is not expected to fit in it."""


class Limits:
    """``tick`` and ``before_epoch`` for a Runtime. ``max_seconds`` counts from now."""

    def __init__(self, max_seconds: float | None = None) -> None:
        self.max_seconds = max_seconds
        self.deadline = None if max_seconds is None else time.monotonic() + max_seconds
        self.signal = 0

    def tick(self) -> None:
        if self.signal:
            raise Interrupted(self.signal)
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise OutOfTime("the time of --max-time is up")

    def before_epoch(self, expected_seconds: float) -> None:
        self.tick()
        if self.deadline is None:
            return
        if time.monotonic() + MARGIN * expected_seconds > self.deadline:
            raise OutOfTime(f"the next epoch ({expected_seconds:.1f} s) does not fit in --max-time")

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.signal:
            raise KeyboardInterrupt  # asked twice: at once
        self.signal = number
        name = signal.Signals(number).name
        os.write(2, f"{name}: stopping at the next step; once more stops at once\n".encode())

    @contextmanager
    def signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM stop at the next step, also where SIGINT was ignored at the start."""
        before = {n: signal.signal(n, self._on_signal) for n in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def duration(text: str) -> float:
    """Seconds of ``90s``, ``8m``, ``1h30m``, ``2d``. Raises UserError for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UserError(f"duration {text!r} is not like 90s, 8m or 1h30m")
    return sum(float(number) * UNITS[unit] for number, unit in parts)
