"""MLflow beside training: marked at once, mirrored by a thread, all there at the end."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from repro import live
from repro.errors import UserError
from repro.live import Live
from repro.records import Record, Status
from tests import tiny

GONE = "MLflow: gone; training goes on, `repro sync` adds what is missing"


class Fake:
    """A mirror that remembers its calls and does at each what it is told."""

    def __init__(self, do: Callable[[Record], object] = lambda _record: None) -> None:
        self.calls: list[str] = []
        self.began, self.do = threading.Event(), do

    def update(self, record: Record) -> object:
        self.calls.append(record.key)
        self.began.set()
        return self.do(record)


def record(name: str = "a") -> Record:
    return Record(Path(name))


def gone(_record: Record) -> None:
    raise OSError("gone")


def tracker(fake: Fake, lines: list[str] | None = None) -> Live:
    return Live(lambda: fake, ([] if lines is None else lines).append)


def wait_for(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.fixture
def at_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread does nothing before it is closed."""
    monkeypatch.setattr(live, "PERIOD_SECONDS", 1e6)


@pytest.mark.usefixtures("often")
def test_training_does_not_wait_while_the_server_hangs() -> None:
    answer = threading.Event()
    fake = Fake(lambda _record: answer.wait(10))
    with tracker(fake) as live_tracker:
        live_tracker.update(record())
        assert fake.began.wait(10)
        began = time.monotonic()
        for number in range(100):
            live_tracker.update(record(f"{number % 8}"))
        assert time.monotonic() - began < 0.1
        assert fake.calls == ["a"]
        answer.set()
    assert sorted(fake.calls[1:]) == [f"{number}" for number in range(8)]


@pytest.mark.usefixtures("at_close")
def test_several_epochs_become_one_update() -> None:
    fake = Fake()
    with tracker(fake) as live_tracker:
        for name in "abab":
            live_tracker.update(record(name))
        assert fake.calls == []
    assert fake.calls == ["a", "b"]


@pytest.mark.parametrize("period", ["often", "at_close"])
def test_what_another_process_holds_for_a_moment_is_tried_again(
    period: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(period)
    answers = iter(["held", "written"])
    fake = Fake(lambda _record: next(answers))
    with tracker(fake) as live_tracker:
        live_tracker.update(record())
    assert fake.calls == ["a", "a"]


@pytest.mark.usefixtures("often")
def test_a_record_marked_while_it_is_mirrored_is_mirrored_again() -> None:
    answer = threading.Event()
    fake = Fake(lambda _record: answer.wait(10))
    with tracker(fake) as live_tracker:
        live_tracker.update(record())
        assert fake.began.wait(10)
        live_tracker.update(record())
        answer.set()
    assert fake.calls == ["a", "a"]


@pytest.mark.usefixtures("often")
def test_after_a_failure_there_is_one_line_a_pause_and_then_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "PAUSE_SECONDS", 0.2)
    lines: list[str] = []
    fake = Fake(gone)
    with tracker(fake, lines) as live_tracker:
        live_tracker.update(record("a"))
        live_tracker.update(record("b"))
        wait_for(lambda: len(fake.calls) == 2)  # again after the pause, and failing again
        fake.do = lambda _record: None
        failed = len(fake.calls)
        wait_for(lambda: set(fake.calls[failed:]) == {"a", "b"})  # neither was marked again
    assert lines == [GONE]


@pytest.mark.usefixtures("often")
def test_a_dead_server_gets_one_last_try() -> None:
    fake = Fake(gone)
    with tracker(fake) as live_tracker:
        live_tracker.update(record("a"))
        wait_for(lambda: fake.calls == ["a"])
        for name in "bcd":
            live_tracker.update(record(name))
        time.sleep(0.05)
        assert fake.calls == ["a"]  # a minute's pause
    assert len(fake.calls) == 2
    assert not live_tracker.thread.is_alive()


@pytest.mark.usefixtures("often")
def test_a_call_that_fails_while_closing_was_the_last_try() -> None:
    def slowly(_record: Record) -> None:
        time.sleep(0.2)
        raise OSError("gone")

    fake = Fake(slowly)
    with tracker(fake) as live_tracker:
        live_tracker.update(record("a"))
        assert fake.began.wait(10)
        live_tracker.update(record("b"))
    assert fake.calls == ["a"]


@pytest.mark.usefixtures("at_close")
def test_a_server_that_never_answers_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STUCK_SECONDS", 0.1)
    answer, lines = threading.Event(), []  # type: ignore[var-annotated]
    live_tracker = tracker(Fake(lambda _record: answer.wait(10)), lines)
    live_tracker.update(record())
    began = time.monotonic()
    live_tracker.close()
    assert time.monotonic() - began < 5
    assert lines == ["MLflow: no answer in 0 s; `repro sync` adds the rest"]
    answer.set()
    live_tracker.thread.join(10)


@pytest.mark.usefixtures("at_close")
def test_a_slow_server_is_waited_for_as_long_as_it_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "STUCK_SECONDS", 0.2)
    lines: list[str] = []
    fake = Fake(lambda _record: time.sleep(0.08))
    with tracker(fake, lines) as live_tracker:
        for number in range(8):
            live_tracker.update(record(f"{number}"))
    assert len(fake.calls) == 8
    assert lines == []


@pytest.mark.usefixtures("often")
def test_what_is_no_fault_of_the_store_is_said_and_training_goes_on() -> None:
    def damaged(of: Record) -> None:
        if of.key == "a":
            raise UserError("line 3 is damaged")

    lines: list[str] = []
    fake = Fake(damaged)
    with tracker(fake, lines) as live_tracker:
        for number in range(1, 4):
            live_tracker.update(record("a"))
            wait_for(lambda: fake.calls.count("a") == number)  # noqa: B023
        live_tracker.update(record("b"))
        wait_for(lambda: fake.calls.count("b") == 1)
        time.sleep(0.05)
    assert fake.calls == ["a", "a", "a", "b"]
    assert lines == ["MLflow: run a: UserError: line 3 is damaged"]


@pytest.mark.usefixtures("often")
def test_training_with_a_store_that_fails_gives_the_same_results(tmp_path: Path) -> None:
    run = tiny.run("ce", trial=3)
    lines: list[str] = []
    with tracker(Fake(gone), lines) as live_tracker:
        tiny.train((run,), tmp_path / "dead", tracker=live_tracker)
    tiny.train((run,), tmp_path / "fake")
    assert tiny.results((run,), tmp_path / "dead") == tiny.results((run,), tmp_path / "fake")
    assert lines == [GONE]


def test_closing_twice_is_closing_once(tmp_path: Path) -> None:
    kept = Record(tmp_path)
    kept.write_status(Status("RUNNING", 1))
    fake = Fake()
    with tracker(fake) as live_tracker:
        live_tracker.update(kept)
        live_tracker.close()
        assert fake.calls == [kept.key]
    assert fake.calls == [kept.key]
