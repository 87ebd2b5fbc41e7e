"""Records of another machine: taken in whole, once, and none is lost."""

import gzip
import os
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from repro import faults, intake, leases
from repro.intake import take_in
from repro.leases import Leases
from repro.records import TAKEN, Records
from repro.spec import key
from repro.tracking import load_results
from tests import tiny
from tests.cli.invoke import error_of, repro
from tests.tracking.mirror import KD, RUNS, record_of, shorten
from tests.tracking.packed import PACKED, files, taken, tar


@pytest.mark.parametrize("packed", PACKED)
def test_a_runs_directory_is_taken_in_once(trained: Path, tmp_path: Path, packed: str) -> None:
    source, here = PACKED[packed](trained, tmp_path), tmp_path / "here"
    assert taken(source, here) == {"new": 3}
    assert files(here / "records") == files(trained / "records")
    assert taken(source, here) == {"known": 3}
    assert files(here / "records") == files(trained / "records")
    assert [path.name for path in here.iterdir()] == ["records"]


@pytest.mark.parametrize("packed", ["directory", ".tar.gz", ".zip"])
@pytest.mark.parametrize("part", ["records", "record", "renamed"])
def test_so_are_its_records_and_one_record(
    trained: Path, tmp_path: Path, part: str, packed: str
) -> None:
    what, count = trained / "records", 3
    if part != "records":
        what, count = record_of(Records(trained)).directory, 1
    if part == "renamed":  # packed from within: no directory tells the key
        what = Path(shutil.copytree(what, tmp_path / "mine"))
    source = PACKED[packed](what, tmp_path)
    if part == "renamed" and packed == ".tar.gz":
        with tarfile.open(source, "w:gz") as file:
            file.add(what, arcname=".")
    if part == "renamed" and packed == ".zip":
        source = Path(shutil.make_archive(str(tmp_path / "top"), "zip", what))
    assert taken(source, tmp_path / "here") == {"new": count}
    key_dir = tmp_path / "here" / "records" / key(KD)
    assert files(key_dir) == files(record_of(Records(trained)).directory)


def test_mlflows_own_files_and_leases_are_left_out(trained: Path, tmp_path: Path) -> None:
    there = Path(shutil.copytree(trained, tmp_path / "there"))
    record = record_of(Records(there))
    record.write_json("mlflow.json", {"http://x": "1"})
    (record.directory / "lease" / "1.aa").mkdir(parents=True)
    (record.directory / "lease" / "1.aa" / "reserve").write_text("")
    artifacts = there / "artifacts" / "digits-demo" / "abc" / "artifacts"
    shutil.copytree(record.directory, artifacts)
    (there / "mlflow.db").write_bytes(b"x")
    found = take_in(tar(".tar")(there, tmp_path), tmp_path / "here", Leases())
    assert dict(found.counts) == {"new": 3}
    (line,) = found.lines
    assert line.endswith("files left out: none of a record's")
    assert files(tmp_path / "here" / "records") == files(trained / "records")


def test_a_compressed_archive_is_gone_through_three_times(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For what it holds, for the keys, for the files: each step back unpacks it from its start."""
    archive, back = tar(".tgz")(trained, tmp_path), []
    seek = gzip.GzipFile.seek

    def counted(file: gzip.GzipFile, offset: int, whence: int = 0) -> int:
        back.extend([offset] if not whence and offset < file._buffer.tell() else [])
        return seek(file, offset, whence)

    monkeypatch.setattr(gzip.GzipFile, "seek", counted)
    assert taken(archive, tmp_path / "here") == {"new": 3}
    assert len(back) <= 2


def further(records: Records, epochs: int, state: str) -> Path:
    shorten(record_of(records), epochs, state)
    return record_of(records).directory


@pytest.mark.parametrize(
    ("own", "other", "outcome"),
    [
        ((1, "STOPPED"), (2, "STOPPED"), "further"),
        ((2, "STOPPED"), (1, "STOPPED"), "known"),
        ((2, "STOPPED"), (2, "FAILED"), "known"),
        ((2, "STOPPED"), (3, "FINISHED"), "further"),
        ((2, "RUNNING"), (3, "FINISHED"), "further"),
        ((3, "FINISHED"), (3, "FINISHED"), "known"),
    ],
)
def test_of_two_the_one_that_is_further_stays_and_none_is_lost(
    trained: Path, tmp_path: Path, own: Any, other: Any, outcome: str
) -> None:
    here, there = (Path(shutil.copytree(trained, tmp_path / name)) for name in ("here", "there"))
    for directory, (epochs, state) in ((here, own), (there, other)):
        if state != "FINISHED":
            further(Records(directory), epochs, state)
    (record_of(Records(here)).directory / "checkpoint").write_text("mine")
    record = record_of(Records(here))
    before, theirs = files(record.directory), files(record_of(Records(there)).directory)
    assert taken(record_of(Records(there)).directory, here) == {outcome: 1}
    kept = list(here.glob("replaced/*"))
    if outcome == "known":
        assert files(record.directory) == before
        assert kept == []
        return
    assert files(record.directory) == theirs  # without a checkpoint of another training
    assert [path.name.partition("-")[0] for path in kept] == [record.key]
    assert files(kept[0]) == before
    assert taken(record_of(Records(there)).directory, here) == {"known": 1}


def test_a_record_without_its_network_replaces_none_that_was_begun(
    trained: Path, tmp_path: Path
) -> None:
    """One that came from recorded results there: here its network is being trained."""
    here, there = (Path(shutil.copytree(trained, tmp_path / name)) for name in ("here", "there"))
    further(Records(here), 2, "STOPPED")
    bare = record_of(Records(there))
    bare.weights.unlink()
    (bare.directory / TAKEN).write_text("an archive")
    assert taken(bare.directory, here) == {"known": 1}
    assert Records(here).state(bare.key) == "STOPPED"


def test_a_damaged_record_here_is_replaced_and_kept(trained: Path, runs_dir: Path) -> None:
    shutil.copytree(trained / "records", runs_dir / "records")
    record = record_of(Records(runs_dir))
    (record.directory / "status.json").write_text("{")
    assert taken(trained, runs_dir) == {"known": 2, "further": 1}
    (kept,) = runs_dir.glob("replaced/*")
    assert (kept / "status.json").read_text() == "{"
    assert Records(runs_dir).state(record.key) == "FINISHED"


class Killed(BaseException):
    pass


@pytest.mark.parametrize("kill_at", range(14))
def test_a_kill_at_any_moment_is_made_good_by_the_same_command(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    here = Path(shutil.copytree(trained, tmp_path / "here"))
    before = files(further(Records(here), 1, "STOPPED"))
    source = record_of(Records(trained)).directory
    passed: list[str] = []

    def point(name: str, _path: Path | None = None) -> None:
        passed.append(name)
        if sum(name.startswith("intake") for name in passed) > kill_at:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(faults, "point", point)
        patch.setattr(intake.shutil, "rmtree", lambda *_, **__: None)  # a dead process removes none
        with pytest.raises(Killed):
            take_in(source, here, Leases())
    record = record_of(Records(here))
    assert taken(source, here) in ({"new": 1}, {"further": 1}, {"known": 1})
    assert files(record.directory) == files(source)
    assert before in [files(kept) for kept in here.glob("replaced/*")]


def test_sync_takes_in_an_archive_and_shows_its_runs(
    trained: Path, runs_dir: Path, tmp_path: Path
) -> None:
    archive = tar(".tar.gz")(trained, tmp_path)
    first, second = (repro("sync", archive, "--runs-dir", runs_dir) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert f"{archive}: 3 runs taken in, 0 put in the place" in first.output
    assert "3 runs brought up to date, 0 right already" in first.output
    assert "0 runs taken in" in second.output
    assert "0 runs brought up to date, 3 right already, 0 held" in second.output
    assert set(load_results(runs_dir)["key"]) == {key(run) for run in RUNS}
    assert tiny.results(RUNS, runs_dir) == tiny.results(RUNS, trained)


def test_sync_tells_what_is_damaged_and_ends_with_1(runs_dir: Path, trained: Path) -> None:
    shutil.copytree(trained / "records", runs_dir / "records")
    (record_of(Records(runs_dir)).directory / "history.jsonl").write_text("x\n")
    result = repro("sync", "--runs-dir", runs_dir)
    assert result.exit_code == 1
    told, model, last = result.output.splitlines()
    assert model.startswith("model digits-demo-resnet8, version 1: ")
    assert told.startswith("damaged: ")
    assert told.endswith("to train this run again")
    assert last.endswith(
        "2 runs brought up to date, 0 right already, 0 held by a process that trains them, "
        "1 damaged"
    )


def test_an_archive_that_is_not_there_is_told(runs_dir: Path) -> None:
    result = repro("sync", runs_dir / "typo.tar", "--runs-dir", runs_dir)
    assert result.exit_code == 2
    assert "does not exist" in result.output
    (runs_dir / "text").write_text("hello")
    assert "no .zip" in error_of(repro("sync", runs_dir / "text", "--runs-dir", runs_dir)).replace(
        "or .zip", "no .zip"
    )


def test_a_lease_that_was_copied_with_its_record_holds_nobody_up(
    trained: Path, runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a directory that was copied while its owner, of another machine, trained."""
    there = Path(shutil.copytree(trained, tmp_path / "there"))
    monkeypatch.setattr(leases, "boot", lambda: "another machine")
    with Leases().holding(record_of(Records(there)), "training"):
        shutil.copytree(there / "records", runs_dir / "records")
    monkeypatch.undo()
    (stage,) = record_of(Records(runs_dir)).directory.glob("lease/*")
    os.utime(stage / "owner.json", (0, 0))
    monkeypatch.setenv("REPRO_LEASE_SECONDS", "0.2")
    assert taken(runs_dir, tmp_path / "here") == {"new": 3}
    result = repro("sync", "--runs-dir", runs_dir)
    assert "1 runs are held by a process that is silent" in result.output
    assert "3 runs brought up to date, 0 right already, 0 held" in result.output
