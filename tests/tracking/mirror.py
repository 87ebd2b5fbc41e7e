"""Records and what MLflow holds of them."""

import sqlite3
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run as MlflowRun

from repro.records import Record, Records, Status
from repro.spec import Run, key
from repro.tracking import sync_records, tracking_uri
from tests import tiny

RUNS = (tiny.TEACHER, tiny.run("kd"), tiny.run("cmkd"))
KD = RUNS[1]
COMMIT = "0123456789012345678901234567890123456789"


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


def sync(records: Records) -> list[str]:
    return [synced.outcome for synced in sync_records(records, records.runs_dir)]


def shorten(record: Record, epochs: int, state: str = "RUNNING") -> None:
    """The record as it was after so many epochs."""
    status = record.status()
    assert status is not None
    record.cut_history(epochs)
    record.write_status(Status(state, status.started_ms))  # type: ignore[arg-type]
