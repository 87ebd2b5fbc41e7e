"""What MLflow missed or lost is healed from the records."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from repro.records import Records, Status
from repro.tracking import Mirror, load_results, tracking_uri
from tests import tiny
from tests.tracking.mirror import record_of, rows, shorten, stored, sync


@pytest.mark.parametrize(
    ("state", "shown"), [("RUNNING", "RUNNING"), ("STOPPED", "KILLED"), ("FAILED", "FAILED")]
)
def test_a_status_of_our_own_becomes_mlflows(records: Records, state: str, shown: str) -> None:
    record = record_of(records)
    shorten(record, 1)
    Mirror(records.runs_dir).update(record)
    assert stored(records).info.status == "RUNNING"
    if state != "RUNNING":
        record.write_status(Status(state, 1000, 2000, "why"))  # type: ignore[arg-type]
        sync(records)
        assert stored(records).data.tags["reason"] == "why"
        assert stored(records).info.end_time == 2000
    assert stored(records).info.status == shown
    assert "complete" not in stored(records).data.tags


def test_a_run_that_goes_on_is_running_again_and_then_finished(records: Records) -> None:
    record = record_of(records)
    status, entries = record.status(), record.history()
    assert status is not None
    shorten(record, 1, "STOPPED")
    sync(records)
    assert stored(records).info.status == "KILLED"
    shorten(record, 1)
    sync(records)
    assert stored(records).info.status == "RUNNING"
    for entry in entries[1:]:
        record.append(entry)
    record.write_status(status)
    sync(records)
    assert stored(records).info.status == "FINISHED"
    assert stored(records).data.tags["reason"] == ""
    assert stored(records).info.end_time == status.ended_ms


def test_epochs_that_mlflow_missed_are_added_with_their_times(records: Records) -> None:
    record = record_of(records)
    status, entries = record.status(), record.history()
    assert status is not None
    shorten(record, 1)
    sync(records)
    for entry in entries[1:]:
        record.append(entry)
    record.write_status(status)
    assert sync(records)
    times = [time for _, name, _, _, time in rows(records) if name == "train/kd"]
    assert times == [entry["time_ms"] for entry in entries]
    assert stored(records).info.end_time == status.ended_ms


def test_a_finish_that_was_cut_short_is_completed(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after MLflow's own status, before the last tag."""

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_tag", killed)
        with pytest.raises(KeyboardInterrupt):
            Mirror(records.runs_dir).update(record_of(records))
    assert stored(records).info.status == "FINISHED"
    assert len(load_results(records.runs_dir)) == 0
    before = rows(records)
    sync(records)
    assert len(load_results(records.runs_dir)) == 3
    mine = stored(records).info.run_id
    assert [row for row in rows(records) if row[0] == mine] == before


def test_a_database_that_was_moved_away_is_filled_again(
    records: Records, store_template: Path
) -> None:
    sync(records)
    before = stored(records).info.run_id
    second = records.runs_dir.with_name("second")  # MLflow keeps a database by its address open
    shutil.copytree(records.runs_dir, second, ignore=shutil.ignore_patterns("mlflow.db*"))
    shutil.copy(store_template, second)
    for record in Records(second):
        ids = record.read_json("mlflow.json")
        record.write_json("mlflow.json", {tracking_uri(second): next(iter(ids.values()))})
    assert sync(Records(second)) == ["written"] * 3
    assert len(load_results(second)) == 3
    assert stored(Records(second)).info.run_id != before


def test_a_run_deleted_in_mlflow_comes_back(records: Records) -> None:
    sync(records)
    MlflowClient(tracking_uri(records.runs_dir)).delete_run(stored(records).info.run_id)
    assert len(load_results(records.runs_dir)) == 2
    assert sorted(sync(records)) == ["right", "right", "written"]
    assert len(load_results(records.runs_dir)) == 3


def test_a_lost_map_of_run_ids_is_found_again_by_the_key(records: Records) -> None:
    sync(records)
    before = stored(records).info.run_id
    for record in records:
        (record.directory / "mlflow.json").unlink()
    assert sync(records) == ["right"] * 3
    assert stored(records).info.run_id == before
    assert record_of(records).read_json("mlflow.json") == {tracking_uri(records.runs_dir): before}


def test_a_copied_record_makes_one_run_in_the_other_directory(
    mirrored: Records, runs_dir: Path
) -> None:
    original = record_of(mirrored)
    shutil.copytree(original.directory, runs_dir / "records" / original.key)
    copied = Records(runs_dir)
    assert sync(copied) == ["written"]
    assert sync(copied) == ["right"]
    assert stored(copied).info.start_time == stored(mirrored).info.start_time
    assert len(record_of(copied).read_json("mlflow.json")) == 2
    assert len(load_results(runs_dir)) == 1


def test_a_training_begun_anew_takes_the_place_of_the_old_one(records: Records) -> None:
    record = record_of(records)
    sync(records)
    old = stored(records).info.run_id
    status = record.status()
    assert status
    record.write_status(replace(status, started_ms=status.started_ms + 5))
    (record.directory / "mlflow.json").unlink()  # as when the directory was removed
    record.cut_history(1)
    sync(records)
    assert stored(records).info.run_id != old
    client = MlflowClient(tracking_uri(records.runs_dir))
    rates = client.get_metric_history(stored(records).info.run_id, "lr")
    assert [metric.step for metric in rates] == [0]
    assert client.get_run(old).info.lifecycle_stage == "deleted"


def test_a_record_that_never_began_is_left_alone(records: Records) -> None:
    run = tiny.run("dist")
    record_of(records, run).create(run, {"dataset": "digits", "profile": "demo"})
    assert Mirror(records.runs_dir).update(record_of(records, run)) == "right"


def test_a_record_that_names_the_run_of_another_one_leaves_that_alone(records: Records) -> None:
    """As where a directory was copied and its run.json exchanged."""
    sync(records)
    other = stored(records, tiny.TEACHER).info.run_id
    record_of(records).write_json("mlflow.json", {tracking_uri(records.runs_dir): other})
    Mirror(records.runs_dir).update(record_of(records))
    assert sync(records) == ["right"] * 3
    assert stored(records, tiny.TEACHER).info.run_id == other
    assert record_of(records).read_json("mlflow.json") == {
        tracking_uri(records.runs_dir): stored(records).info.run_id
    }
