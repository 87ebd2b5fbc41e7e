"""Checkpoints, failures, and what is not trained again."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from repro import jobs
from repro.errors import UserError
from repro.jobs import run_cohort
from repro.plan import Cohort
from repro.records import Records
from repro.runtime import Stopped
from repro.spec import Optim, key
from repro.train import checkpoint
from tests import tiny
from tests.jobs.students import RUNS, STUDENTS, states

EXPLODING = Optim(lr=1e30)


@pytest.mark.parametrize(("every_seconds", "epochs"), [(0.0, [1, 2, 3]), (1e9, [3])])
def test_checkpoints_keep_their_distance_but_the_last_epoch_has_one(
    directory: Path, monkeypatch: pytest.MonkeyPatch, every_seconds: float, epochs: list[int]
) -> None:
    saved: list[tuple[str, int]] = []
    save = checkpoint.save

    def watched(
        path: Path, tensors: dict[str, torch.Tensor], meta: dict[str, Any], stage: Path
    ) -> None:
        saved.append((meta["key"], meta["next_epoch"]))
        save(path, tensors, meta, stage)

    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", every_seconds)
    monkeypatch.setattr(checkpoint, "save", watched)
    tiny.train(RUNS, directory)
    assert saved == [(key(run), epoch) for epoch in epochs for run in STUDENTS]


def test_a_student_that_fails_says_when_and_why_and_is_not_trained_again(
    directory: Path, finished: Path
) -> None:
    failing = tiny.run("kd", optim=EXPLODING)
    progress = tiny.Progress()
    tiny.train((*RUNS, failing), directory, progress=progress)
    status = tiny.record(failing, directory).status()
    assert status is not None
    assert status.state == "FAILED"
    assert "is not finite at epoch 0" in status.reason
    assert status.reason.startswith(("train/", "test/"))
    assert progress.lines == [f"resnet8:resnet8 kd: {status.reason}"]
    assert not tiny.record(failing, directory).weights.exists()
    assert tiny.results(RUNS, directory) == tiny.results(RUNS, finished)
    ticks = tiny.Ticks()
    assert tiny.train((*RUNS, failing), directory, tick=ticks) == []
    assert ticks.count == 0


def test_students_of_a_failed_teacher_are_not_started(tmp_path: Path) -> None:
    teacher = replace(tiny.TEACHER, optim=EXPLODING)
    student = tiny.run("kd", teacher=teacher)
    blocked = tiny.train((teacher, student), tmp_path)
    assert [cohort.runs for cohort in blocked] == [(student,)]
    assert states(tmp_path, (teacher, student)) == ["FAILED", None]


def test_an_unfinished_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not finished"):
        run_cohort(Cohort(STUDENTS), tiny.runtime(tmp_path))
    assert not list(Records(tmp_path))


def test_finished_runs_are_not_trained_again(finished: Path) -> None:
    ticks, tracker = tiny.Ticks(), tiny.Tracker()
    before = tiny.results(RUNS, finished)
    assert tiny.train(RUNS, finished, tick=ticks, tracker=tracker) == []
    assert ticks.count == 0
    assert tracker.updates == []
    assert tiny.results(RUNS, finished) == before


def test_what_is_left_to_finish_needs_no_time_for_an_epoch(
    images: Callable[[str], Path], tmp_path: Path
) -> None:
    def refuse(seconds: float) -> None:
        raise Stopped(f"{seconds}")

    directory = Path(shutil.copytree(images("checkpoint 6"), tmp_path / "runs"))
    tiny.train(RUNS, directory, before_epoch=refuse)
    assert states(directory) == ["FINISHED", "FINISHED"]
