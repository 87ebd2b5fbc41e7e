"""Runs, cohorts and launchers that fail or are in each other's way."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from repro import losses
from repro.entries import run_tags
from repro.records import Record, Status, now_ms
from tests import tiny
from tests.launch.demo_grid import STUDENTS, TEACHER, Ran, run_demo, states


def ended(record: Record, state: str, reason: str) -> None:
    record.write_status(Status(state, 1, 2, reason))  # type: ignore[arg-type]


def test_a_failed_run_is_told_and_makes_the_exit_code_1(
    demo: tuple[Path, Ran], tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(demo[0], tmp_path / "runs"))
    record = tiny.record(STUDENTS[1], directory)
    ended(record, "FAILED", "[enforce fail at alloc_cpu.cpp:118] no memory [/x]")
    ran = run_demo(directory)
    assert ran.code == 1
    told = "failed: resnet14:resnet8 kd trial 0: [enforce fail at alloc_cpu.cpp:118] no memory [/x]"
    assert told in ran.output
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
