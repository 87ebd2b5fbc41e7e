"""A runs directory that is damaged or in the way: one clear line, and it stays as it is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from repro.records import Record
from tests.cli.invoke import DEMO, EPOCHS, begin, error_of, files, repro, save, usage_error_of
from tests.disk import FAILURES, fail


@pytest.mark.parametrize("command", ["run demo", "plan demo", "tables", "figures", "sync", "ui"])
def test_a_file_is_no_runs_directory(command: str, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("mine")
    message = usage_error_of(repro(*command.split(), "--runs-dir", in_the_way))
    assert message.endswith("file' is a file.")
    assert in_the_way.read_text() == "mine"


@pytest.mark.parametrize("command", ["tables", "sync"])
def test_no_runs_directory_is_told_and_none_is_made(command: str, tmp_path: Path) -> None:
    message = error_of(repro(command, "--runs-dir", tmp_path / "typo"))
    assert message == f"{tmp_path / 'typo'} holds no runs; train some with `repro run demo`"
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize("command", ["run demo"])
def test_a_runs_directory_that_cannot_be_made_is_told(command: str, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("mine")
    message = error_of(repro(*command.split(), "--runs-dir", in_the_way / "runs"))
    assert message.startswith(f"cannot write {in_the_way / 'runs'}: Not a directory; ")


@pytest.mark.parametrize("failure", FAILURES)
def test_a_runs_directory_that_cannot_be_written_is_told(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    before = files(runs_dir)
    fail(monkeypatch, "open", FAILURES[failure])
    message = error_of(repro("run", "demo", "--runs-dir", runs_dir))
    monkeypatch.undo()
    assert message.startswith(f"cannot write {runs_dir / 'records'}")
    assert "--runs-dir" in message
    assert files(runs_dir) == before


@pytest.mark.parametrize("command", ["tables", "figures demo", "sync", "ui"])
def test_a_database_that_is_none_is_told_and_kept(command: str, tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    database.write_bytes(b"garbage" * 1000)
    message = error_of(repro(*command.split(), "--runs-dir", tmp_path))
    assert message.startswith(f"{database} cannot be opened (")
    assert message.endswith("move it away and run `repro sync`: the records hold everything")
    assert database.read_bytes() == b"garbage" * 1000
    assert not (tmp_path / "records").exists()


def corrupt_history(record: Record) -> None:
    history = record.directory / "history.jsonl"
    history.write_text("not JSON\n" + history.read_text())


def corrupt_status(record: Record) -> None:
    (record.directory / "status.json").write_text("{")


def other_checkpoint(record: Record) -> None:
    save(record, 2, "f" * 64)


@pytest.mark.parametrize("damage", [corrupt_history, corrupt_status, other_checkpoint])
def test_a_plan_stands_a_damaged_record_and_leaves_it_alone(
    damage: Callable[[Record], None], tmp_path: Path
) -> None:
    record = begin(DEMO[0], tmp_path)
    damage(record)
    before = files(tmp_path)
    result = repro("plan", "demo", "--runs-dir", tmp_path)
    assert result.exit_code == 0
    assert ("1 DAMAGED" in result.output) == (damage is corrupt_status)
    assert files(tmp_path) == before


def test_a_damaged_checkpoint_stops_nothing(tmp_path: Path) -> None:
    record = begin(DEMO[0], tmp_path)
    record.checkpoint.write_bytes(b"")
    result = repro("plan", "demo", "--runs-dir", tmp_path)
    assert result.exit_code == 0
    teacher_row = next(line for line in result.output.splitlines() if "teacher" in line)
    assert teacher_row.split("│")[4].strip() == str(EPOCHS)  # all are left
