"""When training stops: signals, and the end of the time that was given."""

import os
import signal
import time

import pytest

from repro.errors import UserError
from repro.limits import Interrupted, Limits, OutOfTime, duration
from repro.runtime import Stopped


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("8m", 480),
        ("1h30m", 5400),
        ("2d", 172_800),
        ("1d2h3m4s", 93_784),
        ("0.5h", 1800),
        ("1.5s", 1.5),
        ("0s", 0),
    ],
)
def test_a_duration_is_numbers_with_units(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8",
        "m",
        "8 m",
        "8min",
        "8M",
        "-8m",
        "8m!",
        "1h30",
        "h1",
        "1..5h",
        "1e3s",
        "soon",
        "8m\n",
    ],
)
def test_nonsense_for_a_duration_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UserError) as caught:
        duration(text)
    assert str(caught.value) == f"duration {text!r} is not like 90s, 8m or 1h30m"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock whose only element is the time."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_without_a_limit_nothing_stops(clock: list[float]) -> None:
    limits = Limits()
    clock[0] += 1e9
    limits.tick()
    limits.before_epoch(1e9)


def test_a_step_after_the_deadline_stops(clock: list[float]) -> None:
    limits = Limits(60)
    clock[0] += 59.9
    limits.tick()
    clock[0] += 0.1
    with pytest.raises(OutOfTime, match="the time of --max-time is up"):
        limits.tick()


@pytest.mark.parametrize(("expected", "fits"), [(0.0, True), (50.0, True), (56.0, False)])
def test_an_epoch_starts_only_if_a_tenth_more_than_expected_is_left(
    clock: list[float], expected: float, fits: bool
) -> None:
    limits = Limits(100)
    clock[0] += 40  # 60 s are left: 54.5 s and a tenth
    if fits:
        limits.before_epoch(expected)
        return
    with pytest.raises(OutOfTime, match=r"the next epoch \(56.0 s\) does not fit in --max-time"):
        limits.before_epoch(expected)


def test_an_epoch_of_unknown_length_starts_unless_time_is_up(clock: list[float]) -> None:
    limits = Limits(100)
    clock[0] += 99
    limits.before_epoch(0.0)
    clock[0] += 1
    with pytest.raises(OutOfTime, match="is up"):
        limits.before_epoch(0.0)


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def number(request: pytest.FixtureRequest) -> signal.Signals:
    return request.param


def test_a_signal_stops_at_the_next_step(number: signal.Signals) -> None:
    limits = Limits()
    with limits.signals():
        limits.tick()
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted, match=f"stopped by {number.name}") as caught:
            limits.tick()
    assert caught.value.exit_code == 128 + number
    assert isinstance(caught.value, Stopped)


def test_a_signal_stops_before_the_next_epoch(number: signal.Signals) -> None:
    limits = Limits()
    with limits.signals():
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted):
            limits.before_epoch(0.0)


def test_a_signal_comes_before_the_deadline(clock: list[float], number: signal.Signals) -> None:
    limits = Limits(1)
    clock[0] += 2
    with limits.signals():
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted):
            limits.tick()


def test_a_second_signal_ends_at_once(number: signal.Signals) -> None:
    limits = Limits()
    with limits.signals():
        os.kill(os.getpid(), number)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)


def test_handlers_are_as_before_afterwards(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Limits().signals():
        assert signal.getsignal(number) != before
    assert signal.getsignal(number) == before
    with pytest.raises(RuntimeError), Limits().signals():
        raise RuntimeError
    assert signal.getsignal(number) == before


def test_signals_work_where_they_were_ignored_before(number: signal.Signals) -> None:
    """A shell starts background jobs with SIGINT ignored."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        limits = Limits()
        with limits.signals():
            os.kill(os.getpid(), number)
            with pytest.raises(Interrupted):
                limits.tick()
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)
