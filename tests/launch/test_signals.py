"""Signals, to this process and to one of its own."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from repro.limits import Interrupted, Limits
from repro.tracking import load_results
from tests import tiny
from tests.launch.demo_grid import (
    GRID,
    TEACHER,
    TICKS_AN_EPOCH,
    Ran,
    epochs,
    reasons,
    run_demo,
    states,
)
from tests.tiny_grid import Bomb

ROOT = Path(__file__).resolve().parents[2]


def send_at(monkeypatch: pytest.MonkeyPatch, number: int, at_tick: int) -> None:
    """The signal, for real, to this process right before that tick."""
    bomb = Bomb(number, at_tick, lambda: None)
    monkeypatch.setattr(Limits, "tick", lambda self: bomb.tick(self))


def test_sigterm_stops_at_the_next_step_with_143(
    with_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    send_at(monkeypatch, signal.SIGTERM, 1 + TICKS_AN_EPOCH + 2)
    with pytest.raises(Interrupted) as error:
        run_demo(with_teacher)
    assert error.value.exit_code == 143
    assert states(with_teacher) == ["FINISHED"] + ["STOPPED"] * 5
    assert epochs(with_teacher) == [3] + [1] * 5
    assert reasons(with_teacher) == {"stopped by SIGTERM"}
    assert signal.getsignal(signal.SIGTERM) == before


@dataclass(frozen=True)
class Stop:
    """What a process left that got a signal in the middle of an epoch."""

    code: int
    seconds: float
    error: str
    states: list[str | None]
    epochs: list[int]


def signalled(runs_dir: Path, number: int, at_tick: int, *, background: bool = False) -> Stop:
    note = runs_dir / "signalled"
    words = {"SIGNAL": str(int(number)), "AT_TICK": str(at_tick), "SIGNALLED": str(note)}
    command = [sys.executable, "-m", "tests.tiny_grid", "run", "demo", "--runs-dir", str(runs_dir)]
    if background:  # as a shell starts `command &`: with SIGINT ignored
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    ran = subprocess.run(
        command, cwd=ROOT, env=os.environ | words, capture_output=True, text=True, timeout=120
    )
    assert note.exists(), ran.stderr
    seconds = time.time() - float(note.read_text())
    return Stop(ran.returncode, seconds, ran.stderr, states(runs_dir), epochs(runs_dir))


@pytest.fixture(scope="package")
def stops(
    demo: tuple[Path, Ran], store_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Stop | Path]:
    """One runs directory, stopped in the middle of epochs 1 and 2, then trained to its end."""
    directory = tmp_path_factory.mktemp("stops")
    shutil.copy(store_template, directory)
    source = tiny.record(TEACHER, demo[0]).directory
    shutil.copytree(source, tiny.record(TEACHER, directory).directory)
    begun = 1 + TICKS_AN_EPOCH  # once before the first epoch, then its own
    found: dict[str, Stop | Path] = {
        "SIGINT": signalled(directory, signal.SIGINT, begun + 2, background=True),
        "SIGKILL": signalled(directory, signal.SIGKILL, begun + 3),
    }
    assert run_demo(directory).code == 0
    return found | {"directory": directory}


def test_sigint_ends_with_130_in_seconds_also_in_the_background(stops: dict[str, Stop]) -> None:
    stop = stops["SIGINT"]
    assert stop.code == 130
    assert stop.seconds < 5
    at_once, at_the_end = stop.error.splitlines()
    assert at_once == "SIGINT: stopping at the next step; once more stops at once"
    assert at_the_end == "stopped by SIGINT; give the same command again to go on"
    assert stop.states == ["FINISHED"] + ["STOPPED"] * 5
    assert stop.epochs == [3] + [1] * 5  # the epoch in progress left no trace


def test_kill_9_leaves_whole_epochs(stops: dict[str, Stop]) -> None:
    stop = stops["SIGKILL"]
    assert stop.code == -signal.SIGKILL
    assert stop.states == ["FINISHED"] + ["RUNNING"] * 5  # no one was there to write another
    assert stop.epochs == [3] + [2] * 5


def test_after_sigint_and_kill_9_the_results_are_the_same_bits(
    stops: dict[str, Path], demo: tuple[Path, Ran]
) -> None:
    assert tiny.results(GRID, stops["directory"]) == tiny.results(GRID, demo[0])


def test_after_interruptions_mlflow_has_every_step_once(stops: dict[str, Path]) -> None:
    assert set(load_results(stops["directory"])["method"]) == set(tiny.METHODS)
    with sqlite3.connect(stops["directory"] / "mlflow.db") as connection:
        query = "SELECT run_uuid, key, step, count(*) FROM metrics GROUP BY 1, 2, 3"
        counts = connection.execute(query).fetchall()
    connection.close()
    assert {count for *_, count in counts} == {1}
    steps = [step for _, name, step, _ in counts if name == "test/top1"]
    assert sorted(steps) == sorted([0, 1, 2] * 5)
