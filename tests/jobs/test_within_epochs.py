"""Checkpoints within an epoch: what a stop or a kill costs, and that the results are the same."""

from pathlib import Path

import pytest

from repro.jobs import CohortJob
from repro.records import Records
from repro.runtime import Stopped
from repro.train import checkpoint
from repro.train.student import Student
from tests import tiny

RUNS = (tiny.TEACHER, tiny.run("ce", trial=3), tiny.run("dkd", trial=3))
EVALUATED = 1  # batches, so ticks, of an evaluation
STUDENTS = RUNS[1:]
AN_EPOCH = tiny.STEPS + EVALUATED


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("whole")
    tiny.train(RUNS, directory)
    return directory


@pytest.fixture
def taught(tmp_path: Path) -> Path:
    """Only the teacher is finished."""
    tiny.train(RUNS[:1], tmp_path)
    return tmp_path


def steps(directory: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Train what is left; how many steps that took."""
    count, learn = [0], Student.learn

    def counted(self: Student, *given: object) -> None:
        count[0] += 1
        learn(self, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Student, "learn", counted)
        tiny.train(RUNS, directory)
    return count[0]


def meta(directory: Path) -> dict[str, object]:
    return checkpoint.load(tiny.record(STUDENTS[0], directory).checkpoint)[1]


@pytest.mark.parametrize("part", [1, 2, 3], ids="after {} steps".format)
def test_an_orderly_stop_within_an_epoch_costs_no_step(
    part: int, taught: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = tiny.Ticks(AN_EPOCH + part + 1, Stopped("by a test"))
    with pytest.raises(Stopped):
        tiny.train(RUNS, taught, tick=ticks, checkpoint_seconds=1e9)
    assert (meta(taught)["next_epoch"], meta(taught)["next_part"]) == (1, part)
    left = (tiny.STEPS - part) + tiny.STEPS
    assert steps(taught, monkeypatch) == left * len(STUDENTS)
    assert tiny.results(STUDENTS, taught) == tiny.results(STUDENTS, whole)


def test_without_them_it_costs_what_was_trained_of_the_epoch(
    taught: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Stopped):
        tiny.train(RUNS, taught, tick=tiny.Ticks(AN_EPOCH + 3, Stopped("by a test")))
    assert "next_part" not in meta(taught)
    assert steps(taught, monkeypatch) == 2 * tiny.STEPS * len(STUDENTS)
    assert tiny.results(STUDENTS, taught) == tiny.results(STUDENTS, whole)


def test_a_kill_costs_the_steps_since_the_last_checkpoint(
    taught: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written at the end, as after kill -9; a checkpoint before every step."""
    with monkeypatch.context() as patch:
        patch.setattr(CohortJob, "_stop", lambda *_: None)
        ticks = tiny.Ticks(AN_EPOCH + 3, Stopped("by a test"))
        with pytest.raises(Stopped):
            tiny.train(RUNS, taught, tick=ticks, checkpoint_seconds=0.0)
    assert (meta(taught)["next_epoch"], meta(taught)["next_part"]) == (1, 1)
    assert Records(taught).state(tiny.record(STUDENTS[0], taught).key) == "RUNNING"
    assert steps(taught, monkeypatch) == (2 + tiny.STEPS) * len(STUDENTS)
    assert tiny.results(STUDENTS, taught) == tiny.results(STUDENTS, whole)
