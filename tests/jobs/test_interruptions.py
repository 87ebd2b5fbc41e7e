"""Stopped or killed, then equal to uninterrupted."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from repro import jobs
from repro.errors import UserError
from repro.jobs import run_cohort
from repro.plan import Cohort
from repro.runtime import Stopped
from repro.train import checkpoint
from tests import tiny
from tests.jobs.students import (
    RUNS,
    STUDENTS,
    TICKS_AN_EPOCH,
    assert_goes_on_to_the_same,
    next_epochs,
    states,
)


@pytest.mark.parametrize("every_seconds", [0.0, 1e9], ids=["checkpoints", "none but the last"])
def test_stopped_in_the_middle_of_an_epoch_then_equal_to_uninterrupted(
    directory: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, every_seconds: float
) -> None:
    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", every_seconds)
    stop = tiny.Ticks(TICKS_AN_EPOCH + 2, Stopped("stopped by a test"))
    with pytest.raises(Stopped):
        tiny.train(RUNS, directory, tick=stop)
    for run in STUDENTS:
        status = tiny.record(run, directory).status()
        assert status is not None
        assert (status.state, status.reason) == ("STOPPED", "stopped by a test")
        assert len(tiny.record(run, directory).history()) == 1
    assert next_epochs(directory) == [1, 1]
    assert_goes_on_to_the_same(directory, finished)


def test_an_error_keeps_every_epoch_before_it(
    directory: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", 1e9)
    broken = tiny.Ticks(2 * TICKS_AN_EPOCH + 2, ZeroDivisionError("oh"))
    tiny.train(RUNS, directory, tick=broken)
    assert next_epochs(directory) == [2, 2]
    assert_goes_on_to_the_same(directory, finished)


def test_only_the_epochs_after_the_checkpoint_are_trained_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(Stopped):
        tiny.train(RUNS, directory, tick=tiny.Ticks(2 * TICKS_AN_EPOCH + 1, Stopped("")))
    ticks = tiny.Ticks()
    tiny.train(RUNS, directory, tick=ticks)
    assert ticks.count == TICKS_AN_EPOCH


def test_the_start_of_a_run_is_that_of_its_first_try(directory: Path) -> None:
    with pytest.raises(Stopped):
        tiny.train(RUNS, directory, tick=tiny.Ticks(2, Stopped("")))
    begun = tiny.record(STUDENTS[0], directory).status()
    tiny.train(RUNS, directory)
    ended = tiny.record(STUDENTS[0], directory).status()
    assert begun is not None
    assert ended is not None
    assert begun.started_ms == ended.started_ms


def test_a_stop_between_epochs_loses_none_of_them(
    directory: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a limit below CHECKPOINT_SECONDS would train the same epochs for ever."""
    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", 1e9)
    expected = []

    def before_epoch(seconds: float) -> None:
        expected.append(seconds)
        if len(expected) == 2:
            raise Stopped("no time")

    for epochs in (1, 2):
        expected.clear()
        with pytest.raises(Stopped):
            tiny.train(RUNS, directory, before_epoch=before_epoch)
        assert next_epochs(directory) == [epochs, epochs]
        assert states(directory) == ["STOPPED", "STOPPED"]
    assert_goes_on_to_the_same(directory, finished)


def test_the_first_epoch_is_expected_to_take_what_the_machine_took_before(directory: Path) -> None:
    expected: list[float] = []

    def refuse(seconds: float) -> None:
        expected.append(seconds)
        raise Stopped("")

    for speed in (None, 1e6, 2e6):
        with pytest.raises(Stopped):
            tiny.train(RUNS, directory, before_epoch=refuse, speed=speed)
    assert expected[0] == 0
    assert expected[1] == pytest.approx(2 * expected[2])
    assert expected[1] > 100  # two students and a teacher of 13 million on 70 images


@pytest.mark.parametrize(
    ("moment", "ticks"),
    [
        ("epoch 2", 4),  # three steps and an evaluated batch
        ("history 3", 8),  # epoch 1 of one student, but no checkpoint of it yet
        ("history 4", 8),  # epoch 1 of both, still no checkpoint
        ("checkpoint 3", 4 + 8),  # epoch 1 of one student only: two cohorts from here on
        ("checkpoint 5", 1 + 4),
        ("checkpoint 6", 1),  # nothing left to train, the test logits are made again
        ("weights 1", 1),
        ("finished 1", 1),
        ("weights 2", 1),
    ],
)
def test_killed_then_equal_to_uninterrupted(
    images: Callable[[str], Path], finished: Path, tmp_path: Path, moment: str, ticks: int
) -> None:
    """A kill leaves no chance to write anything: what was on disk is what there is."""
    directory = Path(shutil.copytree(images(moment), tmp_path / "runs"))
    assert "RUNNING" in states(directory)
    counted = tiny.Ticks()
    tiny.train(RUNS, directory, tick=counted)
    assert tiny.results(RUNS, directory) == tiny.results(RUNS, finished)
    assert counted.count == ticks


def test_history_beyond_the_checkpoint_is_cut(
    images: Callable[[str], Path], tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(images("history 4"), tmp_path / "runs"))
    assert [len(tiny.record(run, directory).history()) for run in STUDENTS] == [2, 2]
    assert next_epochs(directory) == [1, 1]
    tracker = tiny.Tracker()
    tiny.train(RUNS, directory, tracker=tracker)
    assert [update[2] for update in tracker.updates[:2]] == [1, 1]


def test_a_torn_last_line_of_history_does_not_count(
    images: Callable[[str], Path], finished: Path, tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(images("epoch 2"), tmp_path / "runs"))
    with (tiny.record(STUDENTS[0], directory).directory / "history.jsonl").open("a") as file:
        file.write('{"epoch": 2, "met')
    assert_goes_on_to_the_same(directory, finished)


def test_a_damaged_checkpoint_costs_an_epoch_and_is_told(
    images: Callable[[str], Path], finished: Path, tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(images("epoch 2"), tmp_path / "runs"))
    path = tiny.record(STUDENTS[0], directory).checkpoint
    path.write_bytes(path.read_bytes()[:-10])
    progress = tiny.Progress()
    tiny.train(RUNS, directory, progress=progress)
    assert sum("damaged" in line and str(path) in line for line in progress.lines) == 1
    assert tiny.results(RUNS, directory) == tiny.results(RUNS, finished)


def test_a_checkpoint_of_another_network_is_refused(
    images: Callable[[str], Path], tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(images("epoch 2"), tmp_path / "runs"))
    record = tiny.record(STUDENTS[0], directory)
    other = tiny.student(tiny.run(network="resnet14"))
    checkpoint.save(record.checkpoint, other.state(), {"key": record.key, "next_epoch": 2})
    with pytest.raises(UserError, match=r"does not fit resnet8; the same command goes on"):
        tiny.train(RUNS, directory)


def test_a_plan_from_before_another_launcher_is_refused(finished: Path) -> None:
    with pytest.raises(UserError, match="has just changed; give the same command again"):
        run_cohort(Cohort(STUDENTS), tiny.runtime(finished))


def test_a_crash_of_our_own_is_a_stop_with_its_reason(directory: Path) -> None:
    progress = tiny.Progress()
    tiny.train(RUNS, directory, tick=tiny.Ticks(2, ZeroDivisionError("oh")), progress=progress)
    assert "ZeroDivisionError: oh" in " ".join(progress.lines)
    statuses = [tiny.record(run, directory).status() for run in STUDENTS]
    assert [status and status.reason for status in statuses] == ["ZeroDivisionError('oh')"] * 2
