"""However often a record is mirrored, MLflow has every value once."""

from typing import Any

import pytest
from mlflow import MlflowClient

from repro.records import Records
from repro.tracking import Mirror
from tests.tracking.mirror import record_of, rows, shorten, stored, sync


def test_a_second_sync_writes_nothing(records: Records) -> None:
    mirror = Mirror(records.runs_dir)
    assert [mirror.update(record) for record in records] == ["written"] * 3
    before = rows(records)
    assert [mirror.update(record) for record in records] == ["right"] * 3
    assert sync(records) == ["right"] * 3  # as in a new process
    assert rows(records) == before


def test_epochs_are_logged_as_they_come(records: Records) -> None:
    record = record_of(records)
    entries = record.history()
    shorten(record, 0)
    mirror = Mirror(records.runs_dir)
    seen = []
    for entry in entries:
        record.append(entry)
        assert mirror.update(record) == "written"
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
