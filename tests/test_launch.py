import io
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from repro import launch, limits, losses, output
from repro.errors import UserError
from repro.grid import Choice, expand
from repro.jobs import run_tags
from repro.launch import Request
from repro.limits import Interrupted, Limits
from repro.profiles import PROFILES
from repro.records import Record, Records, Status, now_ms
from repro.spec import key
from repro.tracking import load_results
from tests import tiny
from tests.tiny_grid import Bomb

GRID = expand("demo", tiny.PROFILE)
TEACHER, *STUDENTS = GRID
TICKS_AN_EPOCH = tiny.STEPS + len(STUDENTS)
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="module")
def tiny_demo() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(PROFILES, "demo", tiny.PROFILE)
        yield


@dataclass(frozen=True)
class Ran:
    code: int
    output: str


def run_demo(runs_dir: Path, **options: Any) -> Ran:
    stream = io.StringIO()
    request = Request(grid="demo", device="cpu", runs_dir=runs_dir, **options)
    code = launch.run(request, Console(file=stream, width=400))
    return Ran(code, stream.getvalue())


def states(runs_dir: Path) -> list[str | None]:
    return [Records(runs_dir).state(key(run)) for run in GRID]


def epochs(runs_dir: Path) -> list[int]:
    return [len(tiny.record(run, runs_dir).history()) for run in GRID]


def reasons(runs_dir: Path) -> set[str]:
    statuses = [tiny.record(run, runs_dir).status() for run in STUDENTS]
    return {status.reason for status in statuses if status}


@pytest.fixture(scope="module")
def demo(store_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """The grid trained at once, and what was said. Read only."""
    directory = tmp_path_factory.mktemp("demo")
    shutil.copy(store_template, directory)
    return directory, run_demo(directory)


@pytest.fixture
def with_teacher(demo: tuple[Path, Ran], runs_dir: Path) -> Path:
    """A runs directory in which only the teacher is finished."""
    source = tiny.record(TEACHER, demo[0]).directory
    shutil.copytree(source, tiny.record(TEACHER, runs_dir).directory)
    return runs_dir


def count_ticks(monkeypatch: pytest.MonkeyPatch) -> tiny.Ticks:
    ticks = tiny.Ticks()
    monkeypatch.setattr(Limits, "tick", lambda self: ticks())  # noqa: ARG005
    return ticks


def test_a_grid_is_trained_to_its_end(demo: tuple[Path, Ran]) -> None:
    directory, ran = demo
    assert ran.code == 0
    assert [run.method for run in GRID] == ["teacher", *tiny.METHODS]
    assert states(directory) == ["FINISHED"] * 6
    assert epochs(directory) == [3] * 6
    assert "grid demo, profile demo: 6 runs, 0 finished" in ran.output
    assert "[2/2] resnet14:resnet8 trial 0: ce kd dkd dist cmkd" in ran.output


def test_every_run_of_a_grid_is_in_mlflow(demo: tuple[Path, Ran]) -> None:
    results = load_results(demo[0]).set_index("key")
    assert set(results.index) == {key(run) for run in GRID}
    for run in GRID:
        status = tiny.record(run, demo[0]).status()
        assert status is not None
        assert results.loc[key(run), "top1_last"] == dict(status.final)["final/top1_last"]
        assert results.loc[key(run), "method"] == run.method


def test_a_finished_grid_trains_nothing(
    demo: tuple[Path, Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tiny.results(GRID, demo[0])
    ticks = count_ticks(monkeypatch)
    began = time.monotonic()
    ran = run_demo(demo[0])
    assert time.monotonic() - began < 5
    assert ran == Ran(0, "grid demo, profile demo: 6 runs, 6 finished\n")
    assert ticks.count == 0
    assert tiny.results(GRID, demo[0]) == before


def test_cohorts_of_one_give_the_same_bits_as_one_of_five(
    demo: tuple[Path, Ran], with_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = count_ticks(monkeypatch)
    ran = run_demo(with_teacher, max_cohort=1)
    assert "[5/5] resnet14:resnet8 trial 0: cmkd" in ran.output
    assert ticks.count >= 5 * 3 * (tiny.STEPS + 1)
    assert tiny.results(GRID, with_teacher) == tiny.results(GRID, demo[0])


def test_more_trials_train_only_what_is_new(
    demo: tuple[Path, Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Path(shutil.copytree(demo[0], tmp_path / "runs"))
    ticks = count_ticks(monkeypatch)
    ran = run_demo(directory, choice=Choice(trials=2, methods=("ce", "kd")))
    assert "grid demo, profile demo: 5 runs, 3 finished" in ran.output
    assert ticks.count == 3 * (tiny.STEPS + 2) + 3  # before each epoch, too
    assert len(load_results(directory)) == 8


# time


def test_an_epoch_that_does_not_fit_is_not_begun(
    demo: tuple[Path, Ran], with_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for record in Records(with_teacher):  # nothing is known of the machine's speed
        (record.directory / "environment.json").unlink()
    monkeypatch.setattr(limits, "MARGIN", 1e6)
    first = run_demo(with_teacher, max_seconds=600)
    assert first.code == 0
    assert "does not fit in --max-time" in first.output
    assert "give the same command again to go on" in first.output
    assert states(with_teacher) == ["FINISHED"] + ["STOPPED"] * 5
    assert epochs(with_teacher) == [3] + [1] * 5

    again = run_demo(with_teacher, max_seconds=600)  # now the speed is known
    assert again.code == 0
    assert "not even one epoch fits" in again.output
    assert "nothing was gained" in again.output
    assert epochs(with_teacher) == [3] + [1] * 5

    monkeypatch.undo()
    assert run_demo(with_teacher, max_seconds=600).code == 0
    assert tiny.results(GRID, with_teacher) == tiny.results(GRID, demo[0])


def test_too_little_time_for_one_epoch_is_said(runs_dir: Path) -> None:
    ran = run_demo(runs_dir, max_seconds=0)
    assert ran.code == 0
    assert "not even one epoch fits (the time of --max-time is up)" in ran.output
    assert states(runs_dir) == ["STOPPED"] + [None] * 5


# failures


def ended(record: Record, state: str, reason: str) -> None:
    record.write_status(Status(state, 1, 2, reason))  # type: ignore[arg-type]


def test_a_failed_run_is_told_and_makes_the_exit_code_1(
    demo: tuple[Path, Ran], tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(demo[0], tmp_path / "runs"))
    record = tiny.record(STUDENTS[1], directory)
    ended(record, "FAILED", "train/loss is not finite at epoch 1")
    ran = run_demo(directory)
    assert ran.code == 1
    assert "failed: resnet14:resnet8 kd trial 0: train/loss is not finite at epoch 1" in ran.output
    assert f"remove {record.directory} to try it again" in ran.output


def test_students_of_a_failed_teacher_are_told_as_not_started(runs_dir: Path) -> None:
    record = tiny.record(TEACHER, runs_dir)
    record.create(TEACHER, {"dataset": "digits", "profile": "demo"})
    ended(record, "FAILED", "train/loss is not finite at epoch 0")
    ran = run_demo(runs_dir)
    assert ran.code == 1
    assert "resnet14:resnet8 trial 0: not started, its teacher is not finished" in ran.output
    assert "failed: resnet14 teacher trial 0" in ran.output
    assert states(runs_dir) == ["FAILED", "FINISHED"] + [None] * 4  # ce needs no teacher


def test_a_cohort_that_breaks_leaves_the_others_running(
    with_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(losses.KD, "__call__", broken)
    ran = run_demo(with_teacher, max_cohort=1)
    assert ran.code == 1
    assert "RuntimeError: out of memory" in ran.output
    assert sorted(map(str, states(with_teacher))) == ["FINISHED"] * 5 + ["STOPPED"]


def test_runs_of_a_killed_launcher_are_closed_by_the_next(with_teacher: Path) -> None:
    other = tiny.record(tiny.run(trial=7), with_teacher)
    other.create(tiny.run(trial=7), run_tags(tiny.run(trial=7)) | {"profile": "demo"})
    other.write_status(Status("RUNNING", now_ms()))
    run_demo(with_teacher)
    status = other.status()
    assert status
    assert (status.state, status.reason) == ("STOPPED", "was killed")


def test_sync_waits_for_the_launcher(runs_dir: Path) -> None:
    with launch.sole_launcher(runs_dir), pytest.raises(UserError, match="is training in"):
        output.sync(Console(), runs_dir)


def test_a_second_launcher_on_one_directory_is_refused(runs_dir: Path) -> None:
    with (
        launch.sole_launcher(runs_dir),
        pytest.raises(UserError, match="another `repro run` is training in"),
    ):
        run_demo(runs_dir)
    assert not (runs_dir / "records").exists()
    with launch.sole_launcher(runs_dir):  # and the lock is free again
        pass


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


# signals to a process of its own


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


@pytest.fixture(scope="module")
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
        "SIGINT": signalled(directory, signal.SIGINT, begun + 3, background=True),
        "SIGKILL": signalled(directory, signal.SIGKILL, begun + 7),
    }
    assert run_demo(directory).code == 0
    return found | {"directory": directory}


def test_sigint_ends_with_130_in_seconds_also_in_the_background(stops: dict[str, Stop]) -> None:
    stop = stops["SIGINT"]
    assert stop.code == 130
    assert stop.seconds < 5
    assert stop.error == "stopped by SIGINT; give the same command again to go on\n"
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
