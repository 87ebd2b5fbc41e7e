"""Students of a bank: close to those of the live teacher, and the same bits after a stop."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro import teachers
from repro.records import Records
from repro.runtime import Stopped
from repro.spec import key
from tests import tiny
from tests.jobs.sources import sources
from tests.jobs.students import RUNS, STUDENTS, TICKS_AN_EPOCH

VIEWS = 81
BUILDING_TICKS = 2 * VIEWS  # before each view, and before its one batch
CE = tiny.run("ce")


def views(directory: Path) -> list[Path]:
    return sorted((directory / "banks").glob("*/view_*"))


@pytest.fixture(scope="package")
def banked(with_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The students, taught from a bank without interruption. Read only."""
    directory = tmp_path_factory.mktemp("banked") / "runs"
    shutil.copytree(with_teacher, directory)
    tiny.train((*RUNS, CE), directory, teacher="bank")
    return directory


@pytest.fixture
def copied(banked: Path, directory: Path) -> Path:
    """The teacher and its finished bank, no students."""
    shutil.copytree(banked / "banks", directory / "banks")
    return directory


def test_a_record_says_where_its_teachers_outputs_came_from(banked: Path, finished: Path) -> None:
    assert sources((*STUDENTS, CE), banked) == ["bank", "bank", "none"]
    assert sources(RUNS, finished) == ["none", "live", "live"]
    assert len(views(banked)) == VIEWS


def test_a_student_of_the_bank_ends_close_to_one_of_the_live_teacher(
    banked: Path, finished: Path
) -> None:
    for run in STUDENTS:
        found, expected = (tiny.record(run, where).history() for where in (banked, finished))
        assert len(found) == 3
        for one, other in zip(found, expected, strict=True):
            for name in ("train/loss", "train/ce"):
                assert one["metrics"][name] == pytest.approx(other["metrics"][name], rel=0.02)
        last = [history[-1]["metrics"]["train/loss"] for history in (found, expected)]
        assert last[0] != last[1]  # or nobody has looked anything up


def test_training_alone_from_a_bank_equals_training_together(banked: Path, copied: Path) -> None:
    for run in (*STUDENTS, CE):
        tiny.train((tiny.TEACHER, run), copied, teacher="bank")
    runs = (*RUNS, CE)
    assert tiny.results(runs, copied) == tiny.results(runs, banked)


def test_the_work_of_an_epoch_leaves_out_a_teacher_that_does_not_run(
    banked: Path, finished: Path
) -> None:
    speeds = []
    for directory in (banked, finished):
        entry = tiny.record(STUDENTS[0], directory).history()[0]
        speeds.append(entry["macs_per_second"] * entry["seconds"])
    # Per image 3 x 3 students (CE is the third) against 3 x 2 and the teacher, all resnet8;
    # and 30 test images each.
    assert speeds[0] / speeds[1] == pytest.approx((70 * 9 + 90) / (70 * 7 + 60), rel=0.1)


def stop_at(tick: int, directory: Path, **options: Any) -> None:
    stop = tiny.Ticks(tick, Stopped("stopped by a test"))
    with pytest.raises(Stopped):
        tiny.train(RUNS, directory, tick=stop, **options)


def test_an_interrupted_bank_costs_a_view_and_no_student(directory: Path, banked: Path) -> None:
    stop_at(2 * 50 + 2, directory, teacher="bank")
    assert len(views(directory)) == 50
    assert [Records(directory).state(key(run)) for run in STUDENTS] == [None, None]
    ticks = tiny.Ticks()
    tiny.train(RUNS, directory, tick=ticks, teacher="bank")
    assert ticks.count == VIEWS + (VIEWS - 50) + 3 * TICKS_AN_EPOCH
    assert tiny.results(RUNS, directory) == tiny.results(RUNS, banked)


@pytest.fixture
def begin(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Begins the students with a choice, and stops them in their second epoch."""

    def begun(choice: str) -> Path:
        monkeypatch.setattr("repro.jobs.CHECKPOINT_SECONDS", 0.0)
        building = BUILDING_TICKS if choice == "bank" else 0
        stop_at(building + TICKS_AN_EPOCH + 2, directory, teacher=choice)
        assert len(tiny.record(STUDENTS[0], directory).history()) == 1
        return directory

    return begun


def test_who_began_with_a_bank_goes_on_with_it_to_the_same_bits(
    begin: Callable[[str], Path], banked: Path
) -> None:
    directory = begin("bank")
    shutil.rmtree(directory / "banks")  # to make it anew would not pay
    tiny.train(RUNS, directory)
    assert sources(STUDENTS, directory) == ["bank", "bank"]
    assert tiny.results(RUNS, directory) == tiny.results(RUNS, banked)


def test_who_began_live_goes_on_live_to_the_same_bits(
    begin: Callable[[str], Path], banked: Path, finished: Path
) -> None:
    directory = begin("live")
    shutil.copytree(banked / "banks", directory / "banks")  # would be used at once
    tiny.train(RUNS, directory)
    assert sources(STUDENTS, directory) == ["live", "live"]
    assert tiny.results(RUNS, directory) == tiny.results(RUNS, finished)


def test_a_record_from_before_there_were_banks_goes_on_live(
    begin: Callable[[str], Path], banked: Path
) -> None:
    directory = begin("live")
    shutil.copytree(banked / "banks", directory / "banks")
    for run in STUDENTS:
        (tiny.record(run, directory).directory / "environment.json").unlink()
    tiny.train(RUNS, directory)
    assert sources(STUDENTS, directory) == ["live", "live"]


def test_a_change_on_the_way_is_recorded_as_both(begin: Callable[[str], Path]) -> None:
    directory = begin("live")
    tiny.train((*RUNS, CE), directory, teacher="bank")
    assert sources((*STUDENTS, CE), directory) == ["bank+live", "bank+live", "none"]


def test_a_bank_that_takes_long_is_shown_on_its_way(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teachers, "LINE_SECONDS", 0.0)
    progress = tiny.Progress()
    tiny.train(RUNS, directory, teacher="bank", progress=progress)
    ways = [line for line in progress.lines if " left" in line]
    assert len(ways) == VIEWS
    assert ways[39].startswith("teacher bank of resnet8: 40/81 views, ")
    assert ways[-1].endswith("81/81 views, 0 s left")
