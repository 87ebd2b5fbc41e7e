import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro import cohort_records, jobs
from repro.records import Record, Status
from repro.train import checkpoint
from tests import tiny
from tests.jobs.students import RUNS, STUDENTS, TICKS_AN_EPOCH


@pytest.fixture(scope="package")
def with_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs directory in which the teacher is finished."""
    directory = tmp_path_factory.mktemp("teacher")
    tiny.train((tiny.TEACHER,), directory)
    return directory


@pytest.fixture(scope="package")
def finished(with_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All runs, trained without interruption. Read only."""
    directory = tmp_path_factory.mktemp("finished") / "runs"
    shutil.copytree(with_teacher, directory)
    tiny.train(RUNS, directory)
    return directory


@pytest.fixture
def directory(with_teacher: Path, tmp_path: Path) -> Path:
    """A copy of ``with_teacher``."""
    return Path(shutil.copytree(with_teacher, tmp_path / "runs"))


def crash_images(
    directory: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """Trains, and copies the runs directory at the moments in which a kill would leave it so."""

    def image(name: str) -> None:
        shutil.copytree(directory, images / name)

    append, save, save_half = Record.append, checkpoint.save, cohort_records.save_half
    write_status = Record.write_status
    count: dict[str, int] = {}

    def number(what: str) -> int:
        count[what] = count.get(what, 0) + 1
        return count[what]

    def appending(self: Record, entry: dict[str, Any]) -> None:
        append(self, entry)
        image(f"history {number('history')}")

    def saving(path: Path, *given: Any) -> None:
        save(path, *given)
        image(f"checkpoint {number('checkpoint')}")
        if count["checkpoint"] == 2 * len(STUDENTS):
            two_epochs_kept.set()

    def weights(*given: Any) -> None:
        save_half(*given)
        image(f"weights {number('weights')}")

    def status(self: Record, given: Status) -> None:
        write_status(self, given)
        if given.state == "FINISHED":
            image(f"finished {number('finished')}")

    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(Record, "append", appending)
    monkeypatch.setattr(checkpoint, "save", saving)
    monkeypatch.setattr(cohort_records, "save_half", weights)
    monkeypatch.setattr(Record, "write_status", status)
    ticks, two_epochs_kept = tiny.Ticks(), threading.Event()

    def tick() -> None:
        ticks()
        if ticks.count == 2 * TICKS_AN_EPOCH + 2:
            assert two_epochs_kept.wait(60)  # the writer may still be at the last epoch
            image("epoch 2")

    tiny.train(RUNS, directory, tick=tick)
    monkeypatch.undo()
    return lambda name: images / name


@pytest.fixture(scope="package")
def images(with_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as monkeypatch:
        directory = Path(shutil.copytree(with_teacher, root / "runs"))
        return crash_images(directory, root, monkeypatch)
