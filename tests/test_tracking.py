import json
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList
from sqlalchemy.exc import SQLAlchemyError

from repro import tracking
from repro.errors import UserError
from repro.records import Record, Records, Status
from repro.spec import Run, key
from repro.tracking import (
    Mirror,
    Resilient,
    experiment_name,
    load_results,
    open_store,
    sync_records,
    tracking_uri,
    write_summary,
)
from tests import tiny

RUNS = (tiny.TEACHER, tiny.run("kd"), tiny.run("cmkd"))
KD = RUNS[1]
COMMIT = "0123456789012345678901234567890123456789"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished records of which MLflow knows nothing; one with a known commit, one without."""
    directory = tmp_path_factory.mktemp("trained")
    tiny.train(RUNS, directory)
    for run, commit in ((KD, COMMIT), (tiny.TEACHER, "")):
        record = tiny.record(run, directory)
        environment = record.read_json("environment.json")
        record.write_json("environment.json", environment | {"git_commit": commit})
    return directory


@pytest.fixture
def records(trained: Path, runs_dir: Path) -> Records:
    """A copy of ``trained`` beside an empty database."""
    shutil.copytree(trained / "records", runs_dir / "records")
    return Records(runs_dir)


@pytest.fixture(scope="module")
def mirrored(
    trained: Path, store_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Records:
    """All finished runs in MLflow. Read only."""
    directory = tmp_path_factory.mktemp("mirrored") / "runs"
    shutil.copytree(trained, directory)
    shutil.copy(store_template, directory)
    for _ in sync_records(Records(directory), directory):
        pass
    return Records(directory)


def record_of(records: Records, run: Run = KD) -> Record:
    return records.of(key(run))


def stored(records: Records, run: Run = KD) -> MlflowRun:
    """The one run of MLflow with this key."""
    client = MlflowClient(tracking_uri(records.runs_dir))
    experiments = [e.experiment_id for e in client.search_experiments()]
    found = client.search_runs(experiments, f"tags.key = '{key(run)}'")
    assert len(found) == 1
    return found[0]


def rows(records: Records) -> list[tuple[Any, ...]]:
    """All metrics as MLflow keeps them: run, name, step, value, time."""
    with sqlite3.connect(records.runs_dir / "mlflow.db") as connection:
        query = "SELECT run_uuid, key, step, value, timestamp FROM metrics ORDER BY 1, 2, 3, 5"
        found = connection.execute(query).fetchall()
    connection.close()
    return found


def sync(records: Records) -> list[bool]:
    return [wrote for _, wrote in sync_records(records, records.runs_dir)]


def shorten(record: Record, epochs: int, state: str = "RUNNING") -> None:
    """The record as it was after so many epochs."""
    status = record.status()
    assert status is not None
    record.cut_history(epochs)
    record.write_status(Status(state, status.started_ms))  # type: ignore[arg-type]


# what MLflow shows of a finished run


def test_tags_name_the_run(mirrored: Records) -> None:
    tags = stored(mirrored).data.tags
    assert {name: tags[name] for name in tracking.TAGS} == {
        "key": key(KD),
        "dataset": "digits",
        "profile": "demo",
        "grid": "demo",
        "pair": "resnet8:resnet8",
        "teacher": "resnet8",
        "student": "resnet8",
        "method": "kd",
        "trial": "1",
    }
    assert tags["complete"] == "true"
    assert tags["torch"] == record_of(mirrored).read_json("environment.json")["torch"]
    assert tags["mlflow.runName"] == "resnet8:resnet8 kd 1"


def test_the_commit_is_a_tag_where_it_is_known(mirrored: Records) -> None:
    assert stored(mirrored).data.tags["mlflow.source.git.commit"] == COMMIT
    assert "mlflow.source.git.commit" not in stored(mirrored, tiny.TEACHER).data.tags


def test_params_are_the_resolved_run(mirrored: Records) -> None:
    params = stored(mirrored).data.params
    expected = {
        "network": "resnet8",
        "trial": "1",
        "precision": "fp32",
        "loss.type": "KD",
        "loss.temperature": "4.0",
        "loss.kd_weight": "0.9",
        "stream.train_per_class": "7",
        "optim.milestones": "[2]",
        "teacher.loss.type": "CE",
        "teacher.network": "resnet8",
    }
    assert expected.items() <= params.items()
    assert stored(mirrored, tiny.TEACHER).data.params["teacher"] == "None"


def test_every_metric_has_one_value_a_step_from_0(mirrored: Records) -> None:
    run = stored(mirrored, RUNS[2])
    client = MlflowClient(tracking_uri(mirrored.runs_dir))
    history = record_of(mirrored, RUNS[2]).history()
    names = {name for name in run.data.metrics if not name.startswith("final/")}
    assert names == {*history[0]["metrics"], "time/epoch_seconds"}
    for name in history[0]["metrics"]:
        logged = client.get_metric_history(run.info.run_id, name)
        found = sorted((m.step, m.value, m.timestamp) for m in logged)
        assert found == [(e["epoch"], e["metrics"][name], e["time_ms"]) for e in history]


def test_final_metrics_are_metrics_of_their_own(mirrored: Records) -> None:
    metrics = stored(mirrored).data.metrics
    status = record_of(mirrored).status()
    assert status is not None
    final = {name: value for name, value in metrics.items() if name.startswith("final/")}
    assert final == dict(status.final)
    assert {"final/top1_last", "final/top1_best", "final/top1_last10"} <= final.keys()


def test_times_are_those_of_the_training(mirrored: Records) -> None:
    info, status = stored(mirrored).info, record_of(mirrored).status()
    assert status is not None
    assert (info.status, info.start_time, info.end_time) == (
        "FINISHED",
        status.started_ms,
        status.ended_ms,
    )


def test_artifacts_can_be_loaded(mirrored: Records, tmp_path: Path) -> None:
    client = MlflowClient(tracking_uri(mirrored.runs_dir))
    run_id = stored(mirrored).info.run_id
    record = record_of(mirrored)
    assert {file.path for file in client.list_artifacts(run_id)} == {
        "run.json",
        "environment.json",
        "history.jsonl",
        "weights.safetensors",
        "test_logits.npz",
    }
    folder = Path(client.download_artifacts(run_id, "", str(tmp_path)))
    assert tiny.same(
        safetensors.torch.load_file(folder / "weights.safetensors"),
        safetensors.torch.load_file(record.weights),
    )
    assert np.load(folder / "test_logits.npz")["logits"].shape == (30, 10)
    assert json.loads((folder / "run.json").read_text())["key"] == key(KD)


def test_the_data_set_is_an_input(mirrored: Records) -> None:
    (given,) = stored(mirrored).inputs.dataset_inputs
    assert given.dataset.name == "digits"
    assert "train_per_class" in given.dataset.profile
    (same,) = stored(mirrored, tiny.TEACHER).inputs.dataset_inputs
    assert same.dataset.digest == given.dataset.digest


def test_runs_are_in_the_experiment_of_their_data_set_and_profile(mirrored: Records) -> None:
    client = MlflowClient(tracking_uri(mirrored.runs_dir))
    experiment = client.get_experiment(stored(mirrored).info.experiment_id)
    assert experiment.name == "digits demo"
    assert experiment.artifact_location.endswith("/runs/artifacts/digits-demo")
    tags = {"dataset": "cifar100", "profile": "paper"}
    assert experiment_name(tags) == "cifar100 paper"
    assert experiment_name(tags | {"split": "tune"}) == "cifar100 paper held-out"


# written once


def test_a_second_sync_writes_nothing(records: Records) -> None:
    mirror = Mirror(records.runs_dir)
    assert [mirror.update(record) for record in records] == [True] * 3
    before = rows(records)
    assert [mirror.update(record) for record in records] == [False] * 3
    assert sync(records) == [False] * 3  # as in a new process
    assert rows(records) == before


def test_epochs_are_logged_as_they_come(records: Records) -> None:
    record = record_of(records)
    entries = record.history()
    shorten(record, 0)
    mirror = Mirror(records.runs_dir)
    seen = []
    for entry in entries:
        record.append(entry)
        assert mirror.update(record)
        seen.append(sum(name == "test/top1" for _, name, *_ in rows(records)))
        assert stored(records).info.status == "RUNNING"
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("same_process", [True, False])
def test_epochs_trained_again_are_not_logged_again(records: Records, same_process: bool) -> None:
    record = record_of(records)
    status, entries = record.status(), record.history()
    assert status is not None
    shorten(record, 2)
    mirror = Mirror(records.runs_dir)
    mirror.update(record)
    record.cut_history(1)  # the checkpoint was older
    mirror = mirror if same_process else Mirror(records.runs_dir)
    mirror.update(record)
    for entry in entries[1:]:
        record.append(entry | {"time_ms": entry["time_ms"] + 5000, "seconds": 9.0})
        mirror.update(record)
    record.write_status(status)
    mirror.update(record)
    steps = [(name, step) for _, name, step, *_ in rows(records)]
    assert len(steps) == len(set(steps))
    assert [step for name, step in steps if name == "test/top1"] == [0, 1, 2]


def test_a_long_history_is_logged_in_whole_epochs(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(records)
    entry = record.history()[-1]
    shorten(record, 0)
    for epoch in range(100):
        record.append(entry | {"epoch": epoch})
    sizes: list[int] = []
    log_batch = MlflowClient.log_batch

    def watched(self: MlflowClient, run_id: str, metrics: Any = (), **given: Any) -> None:
        sizes.append(len(metrics))
        log_batch(self, run_id, metrics, **given)

    monkeypatch.setattr(MlflowClient, "log_batch", watched)
    Mirror(records.runs_dir).update(record)
    names = len(entry["metrics"]) + 1
    assert sum(sizes) == 100 * names
    assert max(sizes) <= 1000
    assert all(size % names == 0 for size in sizes)
    assert len(rows(records)) == 100 * names


# healed from the records


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
    assert sync(Records(second)) == [True] * 3
    assert len(load_results(second)) == 3
    assert stored(Records(second)).info.run_id != before


def test_a_run_deleted_in_mlflow_comes_back(records: Records) -> None:
    sync(records)
    MlflowClient(tracking_uri(records.runs_dir)).delete_run(stored(records).info.run_id)
    assert len(load_results(records.runs_dir)) == 2
    assert sorted(sync(records)) == [False, False, True]
    assert len(load_results(records.runs_dir)) == 3


def test_a_lost_map_of_run_ids_is_found_again_by_the_key(records: Records) -> None:
    sync(records)
    before = stored(records).info.run_id
    for record in records:
        (record.directory / "mlflow.json").unlink()
    assert sync(records) == [False] * 3
    assert stored(records).info.run_id == before
    assert record_of(records).read_json("mlflow.json") == {tracking_uri(records.runs_dir): before}


def test_a_copied_record_makes_one_run_in_the_other_directory(
    mirrored: Records, runs_dir: Path
) -> None:
    original = record_of(mirrored)
    shutil.copytree(original.directory, runs_dir / "records" / original.key)
    copied = Records(runs_dir)
    assert sync(copied) == [True]
    assert sync(copied) == [False]
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
    assert not Mirror(records.runs_dir).update(record_of(records, run))


# results


def test_results_are_the_complete_runs_with_their_types(mirrored: Records) -> None:
    results = load_results(mirrored.runs_dir)
    assert list(results) == ["run_id", *tracking.TAGS, "top1_last", "top1_best", "top1_last10"]
    assert set(results["key"]) == {key(run) for run in RUNS}
    assert results["trial"].dtype == np.int64
    assert {results[f"top1_{name}"].dtype for name in ("last", "best", "last10")} == {
        np.dtype(float)
    }
    row = results.set_index("key").loc[key(KD)]
    final = dict(record_of(mirrored).status().final)  # type: ignore[union-attr]
    assert row["top1_last"] == final["final/top1_last"]
    assert row["top1_best"] == final["final/top1_best"]
    assert row["top1_last10"] == final["final/top1_last10"]
    assert (row["method"], row["trial"], row["pair"]) == ("kd", 1, "resnet8:resnet8")


def test_results_leave_unfinished_runs_out(records: Records) -> None:
    shorten(record_of(records), 2, "STOPPED")
    sync(records)
    assert set(load_results(records.runs_dir)["method"]) == {"teacher", "cmkd"}


def test_an_empty_store_has_results_without_rows(runs_dir: Path) -> None:
    results = load_results(runs_dir)
    assert len(results) == 0
    assert "top1_last" in results


def test_results_are_read_page_by_page(mirrored: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    search_runs = MlflowClient.search_runs
    pages = []

    def small_pages(self: MlflowClient, *given: Any, **named: Any) -> PagedList:
        page = search_runs(self, *given, **named | {"max_results": 2})
        pages.append(len(page))
        return page

    monkeypatch.setattr(MlflowClient, "search_runs", small_pages)
    assert load_results(mirrored.runs_dir)["key"].nunique() == 3
    assert pages[:2] == [2, 1]


def test_a_summary_is_rewritten_in_place(runs_dir: Path) -> None:
    cells = {"pair": "a:b", "profile": "demo", "published": float("nan")}
    table = pd.DataFrame(
        [cells | {"method": "kd", "mean": 70.0, "n": 2}, cells | {"method": "kd+ls", "mean": 71.5}]
    )
    write_summary(runs_dir, "demo", table, "first")
    write_summary(runs_dir, "demo", table.assign(mean=[72.25, 71.5]), "# note")
    client = MlflowClient(tracking_uri(runs_dir))
    experiment = client.get_experiment_by_name("demo summary")
    assert experiment.tags["mlflow.note.content"] == "# note"
    found = client.search_runs([experiment.experiment_id])
    shown = {run.data.tags["method"]: run for run in found}
    assert len(found) == len(shown) == 2
    assert shown["kd"].data.metrics == {"mean": 72.25, "n": 2.0}
    assert shown["kd+ls"].data.metrics == {"mean": 71.5}
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {run.info.run_name for run in found} == {"a:b kd", "a:b kd+ls"}
    assert len(load_results(runs_dir)) == 0


# the store


def test_the_store_is_in_wal_mode(store_template: Path) -> None:
    with sqlite3.connect(store_template) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_two_processes_can_open_a_new_store_at_once(tmp_path: Path) -> None:
    command = (
        "from pathlib import Path; from repro.tracking import load_results; "
        f"print(len(load_results(Path({str(tmp_path)!r}))))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [out for out, _ in outputs] == [b"0\n", b"0\n"], outputs
    assert [err for _, err in outputs] == [b"", b""]


def test_a_server_is_used_where_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert tracking_uri(tmp_path) == "http://127.0.0.1:1"
    open_store(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match=r"cannot be opened.*move it away.*repro sync") as error:
        open_store(tmp_path)
    assert "\n" not in str(error.value)


class Unreachable:
    """A mirror whose server has gone."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def update(self, record: Record) -> bool:  # noqa: ARG002
        raise self.errors.pop(0)


def test_a_failing_store_does_not_stop_training_and_is_told_once(trained: Path) -> None:
    lines: list[str] = []
    errors = (MlflowException("gone\nmore"), SQLAlchemyError("locked"), OSError("no route"))
    tracker = Resilient(Unreachable(*errors), lines.append)  # type: ignore[arg-type]
    for _ in errors:
        tracker.update(record_of(Records(trained)))
    assert lines == ["MLflow: gone; training goes on, `repro sync` adds what is missing"]


def test_what_is_no_fault_of_the_store_is_not_hidden(trained: Path) -> None:
    tracker = Resilient(Unreachable(UserError("damaged")), print)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="damaged"):
        tracker.update(record_of(Records(trained)))


def test_training_with_a_store_that_fails_gives_the_same_results(tmp_path: Path) -> None:
    run = replace(tiny.TEACHER, trial=3)
    lines: list[str] = []
    errors = [OSError(f"{i}") for i in range(99)]
    tracker = Resilient(Unreachable(*errors), lines.append)  # type: ignore[arg-type]
    tiny.train((run,), tmp_path / "dead", tracker=tracker)
    tiny.train((run,), tmp_path / "fake")
    assert tiny.results((run,), tmp_path / "dead") == tiny.results((run,), tmp_path / "fake")
    assert len(lines) == 1
