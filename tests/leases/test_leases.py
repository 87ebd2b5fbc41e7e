"""Who may write to a record: one process at a time, and nobody after it lost its lease."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from repro import leases as module
from repro.errors import LeaseLost, UserError
from repro.files import DiskFull
from repro.leases import Lease, Leases
from repro.mending import keep_aside
from repro.records import Record, Status
from repro.stages import evict, owner_of, stage_of
from repro.train import checkpoint
from tests.disk import FAILURES, fail, names


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "records" / "key")


def taken(leases: Leases, record: Record) -> Lease:
    lease = leases.take(record, "training")
    assert lease
    return lease


def test_another_process_gets_none_and_then_the_next_number(record: Record) -> None:
    first, second = Leases(), Leases()
    lease = taken(first, record)
    assert second.take(record, "training") is None
    with first.holding(record, "training") as mine:
        assert mine
        mine.write_status(Status("RUNNING", 1, fence=lease.fence))
    first.release(lease)
    assert taken(second, record).fence == 2


def test_within_a_process_a_lease_is_kept_until_its_last_user_gives_it_back(
    record: Record,
) -> None:
    mine, other = Leases(), Leases()
    lease = taken(mine, record)
    assert mine.take(record, "mirror") is lease
    mine.release(lease)
    assert other.take(record, "sync") is None
    mine.release(lease)
    assert other.take(record, "sync")


def test_nothing_is_left_behind(record: Record) -> None:
    leases = Leases()
    record.directory.mkdir(parents=True)
    (record.directory / "run.json").touch()
    leases.release(taken(leases, record))
    assert names(record.directory) == ["run.json"]


def test_a_directory_in_which_nothing_was_written_goes_with_its_lease(record: Record) -> None:
    leases = Leases()
    leases.release(taken(leases, record))
    assert not record.directory.exists()


def test_what_killed_processes_left_beside_the_lease_is_cleared_away(record: Record) -> None:
    (record.directory / ".lease.abc" / "1.abc").mkdir(parents=True)
    (record.directory / ".gone.2.abc").mkdir()
    (record.directory / ".status.json.17.tmp").touch()
    (record.directory / "lease").mkdir()
    taken(Leases(), record)
    assert names(record.directory) == ["lease"]


def test_an_owner_whose_file_was_lost_in_a_power_failure_is_dead_after_a_while(
    record: Record,
) -> None:
    (record.directory / "lease" / "7.abc").mkdir(parents=True)
    leases = Leases(silent_seconds=0.05)
    assert leases.take(record, "training") is None
    time.sleep(0.1)
    assert taken(leases, record).fence == 8


def test_a_copy_of_a_record_in_training_is_nobodys(record: Record, tmp_path: Path) -> None:
    taken(Leases(), record)
    copied = Record(shutil.copytree(record.directory, tmp_path / "copy"))
    assert Leases().take(copied, "training")


def test_an_owner_on_another_machine_lives_by_its_heartbeat_alone(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock is not ours to see: on some network file systems every lock is free."""
    monkeypatch.setattr(module, "boot", lambda: "another machine")
    there = Leases(silent_seconds=0.4)
    lease = taken(there, record)
    os.close(lease.lock or 0)
    monkeypatch.undo()
    here = Leases(silent_seconds=0.4)
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        assert here.take(record, "training") is None
        time.sleep(0.02)
    there.held.clear()  # its heart stops
    time.sleep(0.2)
    assert here.take(record, "training") is None
    time.sleep(0.5)
    assert here.take(record, "training")


def test_the_launcher_borrows_what_its_worker_trains_and_a_stranger_does_not(
    record: Record,
) -> None:
    worker, launcher, stranger = Leases("one"), Leases("one"), Leases("two")
    lease = taken(worker, record)
    with launcher.holding(record, "mirror") as borrowed:
        assert borrowed
        borrowed.write_json("mlflow.json", {})
    assert stage_of(record.directory) == lease.stage
    assert launcher.take(record, "training") is None
    with stranger.holding(record, "mirror") as none:
        assert none is None


def test_an_owner_says_who_it_is(record: Record) -> None:
    owner = owner_of(taken(Leases("launch"), record).stage)
    assert owner
    assert (owner.launch, owner.purpose, owner.pid) == ("launch", "training", os.getpid())


@pytest.mark.parametrize("text", ["a minute", "", "0", "-1", "nan", "inf"])
def test_a_time_of_silence_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("REPRO_LEASE_SECONDS", text)
    with pytest.raises(UserError, match=f"^REPRO_LEASE_SECONDS is a number .*, not '{text}'$"):
        Leases()


@pytest.fixture
def lost(record: Record) -> Record:
    """The record as its first owner sees it, after another process took it over."""
    lease = taken(Leases(), record)
    evict(record.directory, lease.stage)
    taken(Leases(), record)
    return Record(record.directory, lease.stage)


@pytest.mark.parametrize(
    "write",
    [
        lambda r: r.write_status(Status("FINISHED", 1)),
        lambda r: r.append({"epoch": 0, "metrics": {}}),
        lambda r: r.cut_history(0),
        lambda r: r.write_json("environment.json", {}),
        lambda r: checkpoint.save(r.checkpoint, {}, {}, r.stage),
        lambda r: r.restart(),
        lambda r: keep_aside(r, "checkpoint"),
    ],
    ids=["status", "append", "cut", "json", "checkpoint", "restart", "keep aside"],
)
def test_no_write_of_an_old_owner_succeeds(lost: Record, write) -> None:  # type: ignore[no-untyped-def]
    (lost.directory / "checkpoint").write_text("the new owner's")
    with pytest.raises(LeaseLost, match="taken over by another process"):
        write(lost)
    found = {name for name in names(lost.directory) if name != "history.jsonl"}
    assert found == {"checkpoint", "lease"}
    assert (lost.directory / "checkpoint").read_text() == "the new owner's"
    assert lost.history() == []


def test_a_takeover_between_looking_and_appending_leaves_the_new_history_alone(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = taken(Leases(), record)
    mine = Record(record.directory, lease.stage)
    mine.append({"epoch": 0, "metrics": {}})
    utime = os.utime

    def take_over_now(path: Path, *given: float) -> None:
        utime(path, *given)
        monkeypatch.undo()
        evict(record.directory, lease.stage)
        with Leases().holding(record, "training") as new:
            assert new
            new.cut_history(1)

    monkeypatch.setattr(os, "utime", take_over_now)
    mine.append({"epoch": 1, "metrics": {}})  # it goes to the file that has no name any more
    assert len(record.history()) == 1


def test_a_lost_lease_knows_it_and_giving_it_back_does_no_harm(record: Record) -> None:
    first, second = Leases(), Leases()
    lease = taken(first, record)
    evict(record.directory, lease.stage)
    taken(second, record)
    with pytest.raises(LeaseLost):
        lease.beat()
    assert lease.lost
    assert first.take(record, "training") is None
    first.release(lease)
    stage = stage_of(record.directory)
    assert stage
    assert owner_of(stage)


@pytest.mark.parametrize("failure", FAILURES)
def test_a_directory_that_cannot_be_written_is_told(
    record: Record, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    fail(monkeypatch, "open", FAILURES[failure])
    with pytest.raises(UserError, match=r"cannot write .*records/key: "):
        Leases().take(record, "training")


def test_a_full_disk_has_room_for_one_last_status(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = taken(Leases(), record)
    mine = Record(record.directory, lease.stage)
    mine.write_status(Status("RUNNING", 1))

    def no_room(*_: object) -> None:
        raise DiskFull("full")

    monkeypatch.setattr(Record, "write", no_room)
    mine.write_status(Status("STOPPED", 1, 2, "cannot write"))
    assert json.loads((record.directory / "status.json").read_text())["state"] == "STOPPED"
    assert record.status() == Status("STOPPED", 1, 2, "cannot write")
    with pytest.raises(DiskFull):
        mine.write_status(Status("STOPPED", 1, 2, "again"))
