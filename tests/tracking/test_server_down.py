"""A server down, slow or refusing: training goes on with the same results, a sync heals."""

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from repro import live
from repro.errors import UserError
from repro.leases import Leases
from repro.limits import Interrupted
from repro.live import Live, open_mirror
from tests import tiny
from tests.cli.invoke import error_of, repro
from tests.tracking.down import RUN, check, heal, synced, train
from tests.tracking.server import Server

pytestmark = pytest.mark.usefixtures("often")


@pytest.mark.usefixtures("server")
def test_a_server_that_is_down(
    runs_dir: Path, alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
        check(runs_dir, alone, train(runs_dir), "Connection refused")
        with pytest.raises(UserError, match=r"MLflow at http://127.0.0.1:1: .*nothing is lost"):
            synced(runs_dir)
    heal(runs_dir)


@pytest.mark.parametrize("words", [["tables", "demo"], ["figures", "demo"], ["ui"]])
@pytest.mark.parametrize("uri", ["http://127.0.0.1:1", "nowhere://x"])
def test_commands_tell_in_a_line_that_a_server_is_down(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], uri: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    told = error_of(repro(*words, "--runs-dir", runs_dir))
    assert told.startswith(f"MLflow at {uri}: ")
    assert told.endswith("give the same command again when it answers")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("500 Internal Server Error", "500"),
        ("403 Forbidden", "403"),
    ],
)
@pytest.mark.parametrize("at", [1, 4])
def test_a_server_that_refuses_from_the_start_or_in_the_middle(
    server: Server, runs_dir: Path, alone: dict[str, Any], status: str, words: str, at: int
) -> None:
    server.before = lambda number: setattr(server, "status", status if number >= at else "")
    check(runs_dir, alone, train(runs_dir), words)
    server.before = lambda _number: None
    server.status = ""
    heal(runs_dir)


def test_a_server_that_comes_back_is_used_again(
    server: Server, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(live, "PERIOD_SECONDS", 0.05)
    server.status = "503 Service Unavailable"
    tiny.train((RUN,), runs_dir)
    lines: list[str] = []
    with Live(lambda: open_mirror(runs_dir), lines.append) as tracker:
        tracker.update(tiny.record(RUN, runs_dir))
        began = time.monotonic()
        while not lines and time.monotonic() < began + 30:
            time.sleep(0.02)
        server.status = ""
    assert len(lines) == 1
    assert synced(runs_dir) == ["right"]


def test_training_does_not_wait_for_a_slow_server(
    server: Server, runs_dir: Path, alone: dict[str, Any]
) -> None:
    server.seconds = 0.1
    lines: list[str] = []
    leases = Leases()  # of one process: what it trains it may mirror
    began = time.monotonic()
    with Live(lambda: open_mirror(runs_dir, leases), lines.append) as tracker:
        tiny.train((RUN,), runs_dir, tracker=tracker, leases=leases)
        asked = server.asked
    assert asked < 0.5 * server.asked  # the rest came after training
    assert time.monotonic() - began > 1
    assert lines == []
    assert tiny.results((RUN,), runs_dir) == alone
    assert synced(runs_dir) == ["right"]


def test_after_a_signal_a_server_that_hangs_gets_two_seconds(
    server: Server, runs_dir: Path
) -> None:
    answer = threading.Event()
    server.before = lambda _number: answer.wait(20)
    lines: list[str] = []
    leases = Leases()  # of one process: what it trains it may mirror
    tracker = Live(lambda: open_mirror(runs_dir, leases), lines.append)
    tiny.train((RUN,), runs_dir, tracker=tracker, leases=leases)
    began = time.monotonic()
    tracker.__exit__(Interrupted, Interrupted(15), None)
    assert time.monotonic() - began < live.INTERRUPTED_SECONDS + 0.5
    assert lines == ["MLflow: no time for the rest; `repro sync` adds it"]
    answer.set()
    tracker.thread.join(30)
    assert not tracker.thread.is_alive()
    assert synced(runs_dir) == ["right"]
