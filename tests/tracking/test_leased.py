"""Of several processes that mirror a record one does; a kill at any moment is healed."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from repro import faults
from repro.leases import Leases
from repro.records import Record, Records
from repro.stages import evict, stage_of
from repro.tracking import Mirror, load_results, sync_records
from tests.tracking.mirror import KD, record_of, rows, shorten, stored, sync

POINTS = (
    "run created",
    "inputs logged",
    "params logged",
    "epochs logged",
    "final logged",
    *["artifact logged"] * 5,
    "run terminated",
    "run complete",
)


class Killed(BaseException):
    pass


def test_what_another_process_trains_is_left_to_it(records: Records) -> None:
    record = record_of(records)
    other = Leases()
    with other.holding(record, "training"):
        assert sync(records).count("held") == 1
        assert Mirror(records.runs_dir).update(record) == "held"
    assert len(load_results(records.runs_dir)) == 2
    assert not (record.directory / "mlflow.json").exists()
    assert sorted(sync(records)) == ["right", "right", "written"]


def test_epochs_that_another_process_logged_meanwhile_are_not_logged_again(
    records: Records,
) -> None:
    """It took the run over, logged an epoch and died; the first one goes on."""
    record, whole = record_of(records), record_of(records).history()
    shorten(record, 1)
    first = Mirror(records.runs_dir)
    assert first.update(record) == "written"
    other = Leases()
    with other.holding(record, "training"):
        assert first.update(record) == "held"
        record.append(whole[1])
        assert Mirror(records.runs_dir, other).update(record) == "written"
    record.cut_history(1)  # to its checkpoint
    record.append(whole[1] | {"time_ms": whole[1]["time_ms"] + 1000})
    first.update(record)
    run_id = stored(records).info.run_id
    steps = [row[2] for row in rows(records) if row[:2] == (run_id, "test/top1")]
    assert sorted(steps) == [0, 1]


def test_who_trains_a_run_mirrors_it_too_and_so_does_its_launcher(records: Records) -> None:
    record = record_of(records)
    shorten(record, 1)
    trainer, launcher = Leases("a launch"), Leases("a launch")
    with trainer.holding(record, "training"):
        assert Mirror(records.runs_dir, trainer).update(record) == "written"
        assert Mirror(records.runs_dir, launcher).update(record) == "right"
        (held,) = trainer.held.values()
        assert held.users == 1
    assert stage_of(record.directory) is None


def test_a_mirror_leaves_no_lease_behind(records: Records) -> None:
    before = {path.name for path in record_of(records).directory.iterdir()}
    sync(records)
    assert {path.name for path in record_of(records).directory.iterdir()} - before == {
        "mlflow.json"
    }


def test_of_three_that_take_a_lease_at_once_one_gets_it(tmp_path: Path) -> None:
    """And the others are told so, whatever the first one has tidied away under their hands."""
    record, start, found = Record(tmp_path / "a"), threading.Barrier(3), []

    def work(leases: Leases) -> None:
        for _ in range(60):
            start.wait(10)
            try:
                with leases.holding(record, "sync") as held:
                    found.append("mine" if held else "held")
                    start.wait(10)
            except Exception as error:
                found.append(repr(error))
                start.wait(10)

    threads = [threading.Thread(target=work, args=(Leases(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert Counter(found) == {"mine": 60, "held": 120}


def test_two_that_mirror_at_once_make_one_run(records: Records) -> None:
    """Each as a process of its own would: with leases of its own."""
    mirrors = [Mirror(records.runs_dir) for _ in range(2)]
    start = threading.Barrier(2)
    outcomes: list[str] = []

    def work(mirror: Mirror) -> None:
        start.wait(10)
        try:
            outcomes.extend(mirror.update(record) for record in records)
        except Exception as error:
            outcomes.append(repr(error))

    threads = [threading.Thread(target=work, args=(mirror,)) for mirror in mirrors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert set(outcomes) <= {"written", "right", "held"}, outcomes
    assert outcomes.count("written") == 3
    assert len(load_results(records.runs_dir)) == 3
    assert stored(records).data.tags["complete"] == "true"


@pytest.mark.parametrize(
    ("moment", "last"),
    [
        ("create_run", "run created"),
        ("log_inputs", "inputs logged"),
        ("log_batch", "params logged"),
        ("set_terminated", "run terminated"),
    ],
)
def test_after_a_takeover_the_old_owner_writes_no_more(
    records: Records, monkeypatch: pytest.MonkeyPatch, moment: str, last: str
) -> None:
    """It was stopped for so long, within a call, that another process took the record over."""
    record = record_of(records)
    call = getattr(MlflowClient, moment)

    def late(*given: Any, **named: Any) -> Any:
        found = call(*given, **named)
        stage = stage_of(record.directory)
        assert stage
        evict(record.directory, stage)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, moment, late)
        passed = points_of(patch, len(POINTS))
        assert Mirror(records.runs_dir).update(record) == "held"
    assert tuple(passed) == POINTS[: POINTS.index(last) + 1]
    assert load_results(records.runs_dir).empty
    sync(records)
    assert len(load_results(records.runs_dir)) == 3
    steps = [step for _, name, step, *_ in rows(records) if name == "test/top1"]
    assert sorted(steps) == sorted([0, 1, 2] * 3)


def points_of(monkeypatch: pytest.MonkeyPatch, kill_at: int) -> list[str]:
    """The fault points of MLflow that are passed, until the process ends at one of them."""
    passed: list[str] = []

    def point(name: str, _path: Path | None = None) -> None:
        if name.startswith("mlflow ") and not name.startswith("mlflow.json"):
            passed.append(name.removeprefix("mlflow "))
            if len(passed) - 1 == kill_at:
                raise Killed

    monkeypatch.setattr(faults, "point", point)
    return passed


@pytest.mark.parametrize("kill_at", range(len(POINTS)), ids=range(len(POINTS)))
def test_a_kill_after_any_write_is_healed(
    records: Records, monkeypatch: pytest.MonkeyPatch, kill_at: int
) -> None:
    record = record_of(records)
    with monkeypatch.context() as patch:
        passed = points_of(patch, kill_at)
        with pytest.raises(Killed):
            Mirror(records.runs_dir).update(record)
    assert tuple(passed) == POINTS[: kill_at + 1]
    assert sync(records).count("written") == (3 if kill_at < len(POINTS) - 1 else 2)
    assert sync(records) == ["right"] * 3
    run = stored(records)
    mine = [row for row in rows(records) if row[0] == run.info.run_id]
    assert len(mine) == len({row[1:3] for row in mine}) == 3 * 8 + 5  # epochs, final ones
    assert len(run.inputs.dataset_inputs) == 1
    assert (run.info.status, run.data.tags["complete"]) == ("FINISHED", "true")


def test_kill_9_within_a_sync_is_healed_by_the_next(records: Records) -> None:
    command = (
        "from pathlib import Path; from repro.records import Records; "
        "from repro.tracking import sync_records; "
        f"d = Path({str(records.runs_dir)!r}); list(sync_records(Records(d), d))"
    )
    environment = os.environ | {"REPRO_FAULT": "mlflow artifact logged:7"}
    ended = subprocess.run([sys.executable, "-c", command], env=environment, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert len(load_results(records.runs_dir)) == 1
    assert sorted(sync(records)) == ["right", "written", "written"]  # its lease is known as dead
    assert len(load_results(records.runs_dir)) == 3


def test_a_record_that_is_in_the_way_of_its_lease_is_told(records: Records, tmp_path: Path) -> None:
    shutil.copytree(record_of(records).directory, tmp_path / record_of(records).key)
    lone = Record(tmp_path / record_of(records).key)
    (lone.directory / "lease").write_text("a file")
    (synced,) = sync_records([lone], records.runs_dir)
    assert synced.outcome == "damaged"
    assert synced.reason.startswith(f"cannot write {lone.directory}: ")
    assert KD.network in str(lone.run())
