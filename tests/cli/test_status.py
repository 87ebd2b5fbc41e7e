"""What ``repro status`` says of records."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from repro.grid import Choice, expand
from repro.leases import Leases
from repro.profiles import PROFILES
from repro.records import Record, State, Status, now_ms
from repro.spec import key
from repro.stages import OWNER
from repro.status import row_of
from tests import tiny
from tests.cli.invoke import error_of, repro

RUN = tiny.run("kd")
NAME = "resnet8:resnet8 kd 1"
KILLED = "was killed; the same `repro run` goes on"


@pytest.fixture
def record(tmp_path: Path) -> Record:
    record = Record(tmp_path / "records" / key(RUN))
    record.create(RUN, {"profile": "demo", "grid": "demo"})
    record.append({"epoch": 0, "metrics": {}})
    return record


def test_a_run_in_training_says_where_and_for_how_long(record: Record) -> None:
    with Leases().holding(record, "training") as own:
        assert own
        own.write_status(Status("RUNNING", now_ms()))
        row = row_of(record)
    assert (row.state, row.name, row.epochs) == ("RUNNING", NAME, "1/3")
    assert row.where.endswith(f":{os.getpid()}")
    assert row.note == "for 0 s"


def test_a_silent_owner_is_told(record: Record) -> None:
    with Leases().holding(record, "training") as own:
        assert own
        assert own.stage
        own.write_status(Status("RUNNING", now_ms()))
        os.utime(own.stage / OWNER, (0, 0))
        assert "stopped or dead, the next `repro run` takes over" in row_of(record).note


def test_a_run_whose_owner_was_killed_is_told(record: Record) -> None:
    record.write_status(Status("RUNNING", now_ms()))
    assert row_of(record).note == KILLED


def test_so_is_one_whose_owner_left_its_lease_behind(record: Record) -> None:
    with Leases().holding(record, "training") as own:
        assert own
        own.write_status(Status("RUNNING", now_ms()))
        shutil.copytree(record.directory / "lease", record.directory / "left")
    (record.directory / "left").rename(record.directory / "lease")  # nobody has its lock
    row = row_of(record)
    assert (row.state, row.where, row.note) == ("RUNNING", "", KILLED)


def test_a_failed_run_says_why_and_how_to_try_again(record: Record) -> None:
    record.write_status(Status("FAILED", 1, 2, "train/kd is not finite at epoch 0"))
    note = row_of(record).note
    assert note == f"train/kd is not finite at epoch 0; remove {record.directory} to try it again"


@pytest.mark.parametrize("state", ["FAILED", "STOPPED"])
def test_brackets_of_a_reason_and_of_a_path_are_told(record: Record, state: State) -> None:
    reason = "[enforce fail at alloc_cpu.cpp:118] . DefaultCPUAllocator [/x]"
    record.write_status(Status(state, 1, 2, reason))
    root = record.directory.parents[1] / "[red]"
    shutil.copytree(record.directory.parent, root / "records")
    result = repro("status", "--runs-dir", root)
    assert result.exit_code == 0, result.exception
    assert f"{root}: 1 runs: 1 {state}" in result.output.replace("\n", "")
    assert reason in " ".join(result.output.split())


@pytest.mark.parametrize("name", ["run.json", "status.json"])
def test_a_damaged_record_is_told(record: Record, name: str) -> None:
    record.write_status(Status("STOPPED", 1, 2))
    (record.directory / name).write_text("{")
    row = row_of(record)
    assert row.state == "DAMAGED"
    assert name in row.note


def test_the_command_counts_and_changes_nothing(record: Record) -> None:
    record.write_status(Status("STOPPED", 1, 2, "stopped by SIGTERM"))
    other = replace(RUN, trial=2)
    finished = Record(record.directory.parent / key(other))
    finished.create(other, {})
    finished.write_status(Status("FINISHED", 1, 2))
    root = record.directory.parents[1]
    before = sorted(root.rglob("*"))
    result = repro("status", "--runs-dir", root)
    assert result.exit_code == 0
    assert f"{root}: 2 runs: 1 FINISHED, 1 STOPPED" in result.output.replace("\n", "")
    assert "stopped by SIGTERM" in result.output
    assert sorted(root.rglob("*")) == before


def test_of_a_grid_what_was_never_begun_counts_too(tmp_path: Path) -> None:
    result = repro("status", "demo", "--runs-dir", tmp_path)
    assert "demo: 26 runs: 26 new" in result.output


@pytest.mark.parametrize(
    ("words", "choice"),
    [
        (("--trials", "1"), Choice(trials=1)),
        (("--methods", "kd,dkd"), Choice(methods=("kd", "dkd"))),
        (("--pairs", "resnet14:resnet8", "--methods", "all"), Choice(methods=("all",))),
        (("--precision", "bf16"), Choice(precision="bf16")),
        (("--held-out",), Choice(split="tune")),
    ],
)
def test_the_words_that_chose_what_was_run_choose_what_is_told(
    tmp_path: Path, words: tuple[str, ...], choice: Choice
) -> None:
    runs = expand("demo", PROFILES["demo"], choice)
    begun = Record(tmp_path / "records" / key(runs[-1]))
    begun.create(runs[-1], {})
    begun.write_status(Status("STOPPED", 1, 2))
    result = repro("status", "demo", *words, "--runs-dir", tmp_path)
    assert f"demo: {len(runs)} runs: 1 STOPPED, {len(runs) - 1} new" in result.output


def test_such_words_need_a_grid(record: Record) -> None:
    result = repro("status", "--methods", "kd", "--runs-dir", record.directory.parents[1])
    assert error_of(result).startswith("give the GRID of which these options choose runs")


def test_no_runs_are_told(tmp_path: Path) -> None:
    result = repro("status", "--runs-dir", tmp_path)
    assert result.exit_code == 2
    assert "holds no runs; train some with `repro run demo`" in result.output
