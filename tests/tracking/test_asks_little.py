"""An update costs what is new: neither MLflow nor the history is asked for what is known."""

import json
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from repro import history, live
from repro.leases import Leases
from repro.live import Live
from repro.records import Records
from repro.tracking import Mirror, load_results
from tests import tiny
from tests.tracking.mirror import KD, RUNS, record_of, rows, shorten, stored, sync

ASKED = ("get_run", "get_metric_history", "search_runs", "create_run", "get_experiment_by_name")
WRITTEN = ("log_batch", "log_inputs", "update_run", "set_terminated", "set_tag", "log_artifact")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The client's calls, by name."""
    found: list[str] = []

    def watch(name: str) -> None:
        call = getattr(MlflowClient, name)

        def watched(*given: Any, **named: Any) -> Any:
            found.append(name)
            return call(*given, **named)

        monkeypatch.setattr(MlflowClient, name, watched)

    for name in (*ASKED, *WRITTEN):
        watch(name)
    return found


def test_an_epoch_is_one_call_and_one_line_read(
    records: Records, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(records)
    entries = record.history()
    shorten(record, 1)
    mirror = Mirror(records.runs_dir)
    mirror.update(record)
    parsed: list[bytes] = []
    loads = json.loads
    monkeypatch.setattr(history.json, "loads", lambda text: parsed.append(text) or loads(text))
    for entry in entries[1:]:
        record.append(entry)
        calls.clear()
        mirror.update(record)
        assert calls == ["log_batch"]
        calls.clear()
        mirror.update(record)
        assert calls == []
    lines = [text for text in parsed if isinstance(text, bytes)]  # not the status
    assert b"".join(lines).count(b'"metrics"') == 2


def test_a_new_run_is_asked_for_once(records: Records, calls: list[str]) -> None:
    shorten(record_of(records), 1)
    Mirror(records.runs_dir).update(record_of(records))
    asked = [name for name in calls if name in ASKED]
    assert asked == ["get_experiment_by_name", "search_runs", "create_run"]


def test_a_sync_asks_for_all_runs_at_once_and_for_one_history_each(
    records: Records, calls: list[str]
) -> None:
    sync(records)
    calls.clear()
    assert sync(records) == ["right"] * 3
    assert calls == ["get_experiment_by_name", "search_runs"] + ["get_metric_history"] * 3


def test_after_an_error_mlflow_is_asked_again(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that answers too late has stored what it was given."""
    record = record_of(records)
    entries = record.history()
    shorten(record, 1)
    mirror = Mirror(records.runs_dir)
    mirror.update(record)
    log_batch = MlflowClient.log_batch

    def late(*given: Any, **named: Any) -> None:
        log_batch(*given, **named)
        raise MlflowException("timed out")

    record.append(entries[1])
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", late)
        with pytest.raises(MlflowException):
            mirror.update(record)
    before = rows(records)
    assert mirror.update(record) == "right"
    assert rows(records) == before
    assert [step for _, name, step, *_ in before if name == "test/top1"] == [0, 1]


def test_a_run_whose_making_was_cut_short_gets_its_params(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_inputs", killed)
        with pytest.raises(KeyboardInterrupt):
            Mirror(records.runs_dir).update(record_of(records))
    assert stored(records).data.params == {}
    assert set(sync(records)) == {"written"}
    assert stored(records).data.params["network"] == "resnet8"
    assert len(stored(records).inputs.dataset_inputs) == 1


def test_a_stop_after_another_stop_shows_its_own_end(records: Records) -> None:
    """Between two updates a run may have gone on and stopped again."""
    record = record_of(records)
    shorten(record, 1, "STOPPED")
    status = record.status()
    assert status
    mirror = Mirror(records.runs_dir)
    for ended, reason in ((5000, "was killed"), (9000, "stopped by SIGINT")):
        stopped = vars(status) | {"ended_ms": ended, "reason": reason}
        record.write_status(type(status)(**stopped))
        assert mirror.update(record) == "written"
        assert mirror.update(record) == "right"
        assert sync(records).count("written") <= 2  # the other two, the first time
        assert stored(records).data.tags["reason"] == reason
        assert stored(records).info.end_time == ended


@pytest.mark.parametrize("named", [True, False])
def test_a_training_begun_anew_in_the_same_process_is_another_run(
    records: Records, named: bool
) -> None:
    record = record_of(records)
    mirror = Mirror(records.runs_dir)
    mirror.update(record)
    status = record.status()
    assert status
    record.write_status(type(status)(**vars(status) | {"started_ms": status.started_ms + 5}))
    if not named:
        (record.directory / "mlflow.json").unlink()
    assert mirror.update(record) == "written"
    assert stored(records).info.start_time == status.started_ms + 5
    assert len(load_results(records.runs_dir)) == 1


@pytest.mark.parametrize("period", [0.0, 0.05, 1e6])
def test_trained_with_a_thread_the_store_is_that_of_a_sync(
    records: Records, monkeypatch: pytest.MonkeyPatch, period: float
) -> None:
    monkeypatch.setattr(live, "PERIOD_SECONDS", period)
    fresh = records.runs_dir / "fresh"
    lines: list[str] = []
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{records.runs_dir / 'mlflow.db'}")
    leases = Leases()  # of one process: what it trains it may mirror
    with Live(lambda: Mirror(fresh, leases), lines.append) as tracker:
        tiny.train(RUNS, fresh, tracker=tracker, leases=leases)
    assert lines == []
    live_rows = rows(records)
    assert set(load_results(fresh)["method"]) == {"teacher", "kd", "cmkd"}
    assert sync(Records(fresh)) == ["right"] * 3
    assert rows(records) == live_rows
    entries = tiny.record(KD, fresh).history()
    mine = stored(records).info.run_id
    top1 = [row[2:4] for row in live_rows if row[:2] == (mine, "test/top1")]
    assert top1 == [(entry["epoch"], entry["metrics"]["test/top1"]) for entry in entries]
