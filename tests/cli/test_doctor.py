"""Each fault is made for real; the doctor finds it and names its cure."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from repro import doctor, filled, leases
from repro.doctor import Finding, Place, findings
from repro.leases import Leases
from repro.records import TAKEN, Record, Records, Status
from repro.spec import key
from repro.tracking import sync_records
from tests import tiny
from tests.cli.invoke import repro

RUN = tiny.TEACHER


@pytest.fixture(scope="module")
def trained(store_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("trained")
    shutil.copy(store_template, directory)
    tiny.train((RUN,), directory)
    list(sync_records(Records(directory), directory))
    return directory


@pytest.fixture
def place(trained: Path, tmp_path: Path) -> Place:
    return Place(Path(shutil.copytree(trained, tmp_path / "runs")), tmp_path / "data")


def problems(check: doctor.Check, place: Place) -> list[Finding]:
    return [finding for finding in findings(check, place) if finding.level == "problem"]


def one(check: doctor.Check, place: Place) -> Finding:
    (finding,) = problems(check, place)
    assert finding.cure
    return finding


def test_a_healthy_directory_has_no_problem(trained: Path) -> None:
    result = repro("doctor", "--runs-dir", trained)
    assert result.exit_code == 0, result.output
    assert "0 problems" in result.output


@pytest.mark.parametrize(
    "name", ["run.json", "status.json", "history.jsonl", "weights.safetensors"]
)
def test_a_damaged_record_is_found(place: Place, name: str) -> None:
    path = tiny.record(RUN, place.runs_dir).directory / name
    path.write_bytes(path.read_bytes()[:20] + b"\0\n")
    finding = one(doctor.records, place)
    assert finding.what.startswith("1 damaged records: ")
    assert name in finding.what
    assert repro("doctor", "--runs-dir", place.runs_dir).exit_code == 1


def test_a_damaged_checkpoint_is_found(place: Place) -> None:
    record = tiny.record(RUN, place.runs_dir)
    record.write_status(Status("STOPPED", 1, 2))
    record.checkpoint.write_bytes(b"")
    assert "checkpoint is damaged" in one(doctor.records, place).what


def test_a_finished_run_without_its_test_logits_is_found(place: Place) -> None:
    tiny.record(RUN, place.runs_dir).test_logits.unlink()
    assert "without test logits" in one(doctor.records, place).what


def test_a_directory_that_is_not_there_is_told(place: Place, tmp_path: Path) -> None:
    (found,) = findings(doctor.records, Place(tmp_path / "mistyped", place.data_dir))
    assert found.level == "note"
    assert "mistyped does not exist" in found.what


def test_what_came_from_recorded_results_may_lack_weights_and_logits(place: Place) -> None:
    record = tiny.record(RUN, place.runs_dir)
    (record.directory / TAKEN).write_text("an archive")
    record.test_logits.unlink()
    assert not problems(doctor.records, place)
    weights = record.weights.read_bytes()
    record.weights.unlink()
    assert not problems(doctor.records, place)
    (record.directory / TAKEN).unlink()
    assert problems(doctor.records, place)
    (place.runs_dir / filled.FILE).touch()  # or a directory that `repro browse` filled
    assert not problems(doctor.records, place)
    record.weights.write_bytes(weights[:-20])
    assert "1 damaged records" in one(doctor.records, place).what


def test_a_run_that_was_killed_is_found(place: Place) -> None:
    tiny.record(RUN, place.runs_dir).write_status(Status("RUNNING", 1))
    assert one(doctor.stale, place).what.startswith("1 runs RUNNING that nobody trains: ")


def test_what_killed_processes_left_is_found(place: Place) -> None:
    directory = tiny.record(RUN, place.runs_dir).directory
    lease = Leases().take(Record(directory), "training")
    assert lease
    assert problems(doctor.stale, place) == []
    assert lease.lock is not None
    os.close(lease.lock)  # as the kernel does when a process dies
    (directory / ".status.json.17.tmp").touch()
    found = [finding.what for finding in problems(doctor.stale, place)]
    assert [what.partition(":")[0] for what in found] == [
        "1 leases of dead processes",
        "1 files left by killed processes",
    ]


@pytest.fixture
def elsewhere(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The lease of a run in training on another machine; a day ago it was heard of last."""
    record = tiny.record(RUN, place.runs_dir)
    monkeypatch.setattr(leases, "boot", lambda: "another machine")
    with Leases().holding(record, "training") as own:
        monkeypatch.undo()
        assert own
        assert own.stage
        own.write_status(Status("RUNNING", 1))
        os.utime(own.stage / leases.OWNER, (time.time() - 86400,) * 2)
        yield own.stage


def test_a_run_of_another_machine_that_is_silent_for_a_day_is_found(
    place: Place, elsewhere: Path
) -> None:
    assert one(doctor.stale, place).what.startswith("1 leases of silent processes: ")
    os.utime(elsewhere / leases.OWNER)
    assert problems(doctor.stale, place) == []


def test_damage_under_a_dead_lease_is_found(place: Place, elsewhere: Path) -> None:
    history = tiny.record(RUN, place.runs_dir).directory / "history.jsonl"
    history.write_text("x\n")
    assert "history.jsonl" in one(doctor.records, place).what
    os.utime(elsewhere / leases.OWNER)  # it lives: it may be writing just now
    assert problems(doctor.records, place) == []


def test_what_was_kept_aside_is_a_note(place: Place) -> None:
    kept = tiny.record(RUN, place.runs_dir).directory / "checkpoint.damaged-20260101T000000000000"
    kept.touch()
    (finding,) = findings(doctor.kept_aside, place)
    assert (finding.level, finding.what) == ("note", f"1 damaged files were kept aside: {kept}")
    assert "delete" in finding.cure


def test_a_run_that_mlflow_shows_otherwise_is_found(place: Place) -> None:
    record = tiny.record(RUN, place.runs_dir)
    status = record.status()
    assert status
    record.write_status(Status("FAILED", status.started_ms, status.ended_ms, "made up"))
    finding = one(doctor.mlflow, place)
    assert finding.what.startswith(f"1 runs that MLflow shows otherwise: {key(RUN)[:12]}: ")
    assert finding.cure == "repro sync"


@pytest.fixture
def locked(place: Place) -> Iterator[Place]:
    connection = sqlite3.connect(place.database)
    connection.execute("BEGIN IMMEDIATE")
    yield place
    connection.close()


def test_a_locked_database_is_found(locked: Place) -> None:
    finding = one(doctor.database, locked)
    assert "database is locked" in finding.what
    assert finding.cure == "end the process that holds it"


def test_a_database_that_may_only_be_read_has_a_cure_of_its_own(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect
    read_only = f"file:{place.database}?mode=ro"
    monkeypatch.setattr(sqlite3, "connect", lambda *_, **__: connect(read_only, uri=True))
    finding = one(doctor.database, place)
    assert "readonly database" in finding.what
    assert "right to write" in finding.cure


def test_a_database_that_is_none_is_found(place: Place) -> None:
    place.database.write_bytes(b"garbage" * 1000)
    finding = one(doctor.database, place)
    assert "not a database" in finding.what
    assert "move" in finding.cure


def test_a_network_file_system_is_found(place: Place) -> None:
    mounts = f"server:/home {place.runs_dir.parent.resolve()} nfs4 rw 0 0\n/dev/a / ext4 rw 0 0\n"
    (finding,) = doctor.file_system(place, mounts)
    assert finding.level == "problem"
    assert "sqlite would lie on nfs4" in finding.what
    (finding,) = doctor.file_system(place, "/dev/a / ext4 rw 0 0\n")
    assert finding == Finding("ok", "file system ext4")


def test_a_disk_that_is_nearly_full_is_found(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil._ntuple_diskusage(10, 10, 1 << 20)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert "0.0 GB free" in one(doctor.disk, place).what


def test_damaged_data_are_found_and_missing_ones_are_a_note(place: Place) -> None:
    (finding,) = findings(doctor.data, place)
    assert finding.level == "note"
    place.data_dir.mkdir()
    (place.data_dir / "cifar100.safetensors").write_bytes(b"no images")
    assert "repro data" in one(doctor.data, place).cure


def test_a_package_of_another_version_is_found(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "version", lambda name: "1.0" if name == "torch" else "999")
    assert any(f.what.startswith("torch is 1.0, not ") for f in problems(doctor.packages, place))


def test_a_check_that_breaks_is_told_and_is_a_problem(place: Place) -> None:
    def broken_thing(_: Place) -> Iterator[Finding]:
        raise ZeroDivisionError("oh")
        yield

    assert one(broken_thing, place).what == "the check of broken thing broke: ZeroDivisionError: oh"


def test_a_setting_that_is_wrong_is_one_problem_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REPRO_LEASE_SECONDS", "abc")
    result = repro("doctor", "--runs-dir", tmp_path)
    assert result.exit_code == 1
    assert result.output.count("problem ") == 1
    assert "not 'abc'" in result.output
    assert "broke" not in result.output
    assert result.output.endswith("1 problem\n")
