"""A sync compares everything, also of runs that are marked complete."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric

from repro.leases import Leases
from repro.records import Record, Records
from repro.tracking import Mirror, check_records, load_results, sync_records, tracking_uri
from tests.tracking.mirror import record_of, rows, shorten, stored, sync

Change = Callable[[MlflowClient, str, Records], object]


def words(records: Records) -> list[str]:
    return [said for _, said in check_records(records, records.runs_dir)]


def execute(statement: str) -> Change:
    """Straight into the database, as nobody should; ``?`` is the run."""

    def change(_: MlflowClient, run_id: str, records: Records) -> None:
        with closing(sqlite3.connect(records.runs_dir / "mlflow.db")) as connection, connection:
            assert connection.execute(statement, (run_id,)).rowcount > 0

    return change


def artifact(records: Records, run_id: str, name: str) -> Path:
    return records.runs_dir / "artifacts" / "digits-demo" / run_id / "artifacts" / name


CHANGES: dict[str, Change] = {
    "status FAILED, not FINISHED": lambda c, run, _: c.set_terminated(run, "FAILED", 7),
    "another end or reason": lambda c, run, _: c.set_terminated(run, "FINISHED", 7),
    "other tags": lambda c, run, _: c.set_tag(run, "method", "dkd"),
    "not marked complete": lambda c, run, _: c.delete_tag(run, "complete"),
    "a part of the final metrics": execute(
        "DELETE FROM latest_metrics WHERE run_uuid = ? AND key = 'final/top1_last'"
    ),
    "1 epochs are missing": execute("DELETE FROM metrics WHERE run_uuid = ? AND step = 1"),
    "other accuracies": execute(
        "UPDATE metrics SET value = value + 1 WHERE run_uuid = ? AND key = 'test/top1' AND step = 1"
    ),
    "an epoch twice": lambda c, run, _: c.log_batch(run, [Metric("test/top1", 3.0, 9, 1)]),
    "epochs that the record lacks": lambda c, run, _: c.log_batch(
        run, [Metric("test/top1", 3.0, 9, 3)]
    ),
    "other final metrics": lambda c, run, _: c.log_batch(
        run, [Metric("final/top1_last", 99.0, 2**42, 0)]
    ),
    "of another training": execute("UPDATE runs SET start_time = 5 WHERE run_uuid = ?"),
    "artifacts are missing: weights.safetensors": lambda _, run, records: artifact(
        records, run, "weights.safetensors"
    ).unlink(),
    "artifacts are missing: run.json": lambda _, run, records: artifact(
        records, run, "run.json"
    ).write_text("{"),
    "not in MLflow": lambda c, run, _: c.delete_run(run),
}


@pytest.mark.parametrize("said", CHANGES)
def test_what_differs_is_told_and_mended(synced: Records, said: str) -> None:
    client = MlflowClient(tracking_uri(synced.runs_dir))
    before, clean = stored(synced), active(synced)
    assert words(synced) == []
    CHANGES[said](client, before.info.run_id, synced)
    assert words(synced) == [said]
    assert sorted(sync(synced)) == ["right", "right", "written"]
    assert words(synced) == []
    assert sync(synced) == ["right"] * 3
    after = stored(synced)
    assert (after.info.start_time, after.info.end_time, after.info.status) == (
        before.info.start_time,
        before.info.end_time,
        "FINISHED",
    )
    assert after.data.tags == before.data.tags
    assert after.data.params == before.data.params
    assert active(synced) == clean
    assert len(load_results(synced.runs_dir)) == 3


def active(records: Records) -> list[tuple[Any, ...]]:
    """The metrics of runs that were not deleted, without the runs' ids."""
    ids = set(load_results(records.runs_dir)["run_id"])
    return sorted(row[1:] for row in rows(records) if row[0] in ids)


def test_a_check_writes_nothing(records: Records, tmp_path: Path) -> None:
    def state() -> dict[str, bytes]:
        files = (path for path in records.runs_dir.rglob("*") if path.is_file())
        return {str(p): p.read_bytes() for p in files if "mlflow" not in p.name}

    before = state()
    assert words(records) == ["not in MLflow"] * 3
    assert state() == before
    assert rows(records) == []
    shutil.copytree(records.runs_dir / "records", tmp_path / "bare" / "records")
    assert words(Records(tmp_path / "bare")) == ["not in MLflow"] * 3
    assert [path.name for path in (tmp_path / "bare").iterdir()] == ["records"]


def test_of_several_runs_of_a_key_the_recorded_one_stays(synced: Records) -> None:
    client = MlflowClient(tracking_uri(synced.runs_dir))
    run = stored(synced)
    twin = client.create_run(
        run.info.experiment_id, start_time=run.info.start_time, tags={"key": run.data.tags["key"]}
    )
    assert words(synced) == ["2 runs of this key in MLflow"]
    assert sorted(sync(synced)) == ["right", "right", "written"]
    assert stored(synced).info.run_id == run.info.run_id
    assert client.get_run(twin.info.run_id).info.lifecycle_stage == "deleted"
    assert sync(synced) == ["right"] * 3


def test_an_interrupted_run_with_epochs_that_it_lost_is_made_anew(records: Records) -> None:
    """A launcher that trains it may catch up with MLflow; one that nobody trains does not."""
    record = record_of(records)
    shorten(record, 2)
    mirror = Mirror(records.runs_dir)
    mirror.update(record)
    record.cut_history(1)
    assert mirror.update(record) == "right"
    assert Mirror(records.runs_dir).update(record) == "right"
    assert "epochs that the record lacks" in words(records)
    assert sync(records).count("written") == 3
    mine = stored(records).info.run_id
    assert [r[2] for r in rows(records) if r[:2] == (mine, "test/top1")] == [0]


@pytest.mark.parametrize("same_process", [True, False])
def test_epochs_trained_again_to_other_values_replace_the_run(
    records: Records, same_process: bool
) -> None:
    """As after a takeover by another machine."""
    record = record_of(records)
    status, entries = record.status(), record.history()
    assert status
    shorten(record, 3)
    mirror = Mirror(records.runs_dir)
    mirror.update(record)
    first = stored(records).info.run_id
    record.cut_history(1)
    mirror = mirror if same_process else Mirror(records.runs_dir)
    assert mirror.update(record) == "right"
    other = [entry | {"metrics": entry["metrics"] | {"test/top1": 1.5}} for entry in entries[1:]]
    for entry in other:
        record.append(entry)
        assert mirror.update(record) == "written"
    record.write_status(status)
    mirror.update(record)
    run = stored(records)
    assert run.info.run_id != first
    assert run.info.start_time == status.started_ms
    top1 = [row[3] for row in rows(records) if row[:2] == (run.info.run_id, "test/top1")]
    assert top1 == [entries[0]["metrics"]["test/top1"], 1.5, 1.5]


def test_a_stopped_run_shows_its_reason_although_mlflow_was_away(records: Records) -> None:
    record = record_of(records)
    shorten(record, 1)
    sync(records)
    status = record.status()
    assert status
    record.write_status(replace(status, state="STOPPED", ended_ms=5, reason="was killed"))
    assert words(records) == ["status RUNNING, not KILLED"]
    assert sorted(sync(records)) == ["right", "right", "written"]
    assert stored(records).data.tags["reason"] == "was killed"


def damage_history(record: Record) -> None:
    (record.directory / "history.jsonl").write_text("not JSON\n")


def damage_status(record: Record) -> None:
    (record.directory / "status.json").write_text("{")


def tag(name: str, value: Any) -> Callable[[Record], None]:
    def change(record: Record) -> None:
        path = record.directory / "run.json"
        data = json.loads(path.read_text())
        data["tags"][name] = value
        path.write_text(json.dumps(data))

    return change


def drop_tags(record: Record) -> None:
    path = record.directory / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tags": {}}))


def name_refused(record: Record) -> None:
    (*entries, last) = record.history()
    record.cut_history(0)
    for entry in (*entries, last | {"metrics": last["metrics"] | {"acc@1": 1.0}}):
        record.append(entry)


DAMAGES: dict[str, tuple[Callable[[Record], None], str]] = {
    "history": (damage_history, "history.jsonl line 1 is damaged"),
    "status": (damage_status, "status.json cannot be read"),
    "no tags": (drop_tags, "holds something else than expected: KeyError('dataset')"),
    "metric's name": (name_refused, "acc@1"),
    "out of artifacts": (tag("profile", "x/../../../../out"), "could lead out of artifacts/"),
    "up": (tag("dataset", ".."), "could lead out of artifacts/"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_told_and_the_others_go_on(records: Records, damage: str) -> None:
    harm, said = DAMAGES[damage]
    harm(record_of(records))
    before = {path.name for path in records.runs_dir.parent.rglob("*")}
    found = {s.record.key: s for s in sync_records(records, records.runs_dir)}
    assert sorted(s.outcome for s in found.values()) == ["damaged", "written", "written"]
    reason = found[record_of(records).key].reason
    assert said in reason
    assert "\n" not in reason
    assert len(load_results(records.runs_dir)) == 2
    assert "out" not in {path.name for path in records.runs_dir.parent.rglob("*")} - before
    assert sorted(sync(records)) == ["damaged", "right", "right"]


def test_runs_in_training_are_not_compared(records: Records) -> None:
    with Leases().holding(record_of(records), "training"):
        assert words(records) == ["not in MLflow"] * 2
    assert words(records) == ["not in MLflow"] * 3


def test_an_experiment_deleted_in_mlflow_comes_back(synced: Records) -> None:
    client = MlflowClient(tracking_uri(synced.runs_dir))
    client.delete_experiment(stored(synced).info.experiment_id)
    assert len(load_results(synced.runs_dir)) == 0
    sync(synced)
    assert len(load_results(synced.runs_dir)) == 3
    assert sync(synced) == ["right"] * 3
