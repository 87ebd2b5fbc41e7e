"""What a tracking server's database holds of runs, beside their records, metric by metric."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from repro.records import Record
from repro.tracking.entries import artifacts_of, epoch_metrics

Metric = tuple[str, str, int, float, int]  # key, name, step, value, time
RUNS = """
    SELECT t.value, r.run_uuid, r.status, r.start_time, r.end_time, r.experiment_id,
        (SELECT value FROM tags c WHERE c.run_uuid = r.run_uuid AND c.key = 'complete')
    FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'key'
    WHERE r.lifecycle_stage = 'active'
"""
METRICS = """
    SELECT t.value, m.key, m.step, m.value, m.timestamp FROM metrics m
    JOIN runs r ON r.run_uuid = m.run_uuid
    JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'key'
    WHERE r.lifecycle_stage = 'active'
"""
PARAMS = """
    SELECT t.value, count(*) FROM params p JOIN runs r ON r.run_uuid = p.run_uuid
    JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'key'
    WHERE r.lifecycle_stage = 'active' GROUP BY t.value
"""


def asked(store: str, query: str) -> list[Any]:
    engine = create_engine(store)
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


def wanted_metrics(record: Record) -> list[Metric]:
    """Every epoch's and the final ones."""
    status = record.status()
    assert status
    assert status.ended_ms
    epochs = [metric for entry in record.history() for metric in epoch_metrics(entry)]
    named = [(record.key, m.key, m.step, m.value, m.timestamp) for m in epochs]
    return named + [(record.key, name, 0, v, status.ended_ms) for name, v in status.final]


def differences(store: str, artifacts: Path, records: Iterable[Record]) -> list[str]:
    """In words; none where everything is there, once and with its values."""
    records = list(records)
    metrics, wanted = Counter(asked(store, METRICS)), Counter[Metric]()
    for record in records:
        wanted.update(wanted_metrics(record))
    words = {
        "lost metrics": wanted - metrics,
        "metrics twice or of nothing": metrics - wanted,
    }
    found = [
        f"{count.total()} {name}, such as {min(count)}" for name, count in words.items() if count
    ]
    runs, params = asked(store, RUNS), dict(asked(store, PARAMS))
    by_key = {row[0]: row[1:] for row in runs}
    if len(runs) != len(records):
        found.append(f"{len(runs)} runs of {len(records)} records")
    for record in records:
        found += _of_run(record, by_key.get(record.key), params.get(record.key, 0), artifacts)
    return found


def _of_run(record: Record, row: tuple[Any, ...] | None, params: int, artifacts: Path) -> list[str]:
    if row is None:
        return [f"no run of {record.key}"]
    run_id, state, started, ended, experiment, complete = row
    status = record.status()
    assert status
    folder = artifacts / str(experiment) / run_id / "artifacts"
    files = {path.name: path.stat().st_size for path in folder.iterdir()} if folder.is_dir() else {}
    words = {
        "other times": (started, ended) != (status.started_ms, status.ended_ms),
        "not finished": (state, complete) != ("FINISHED", "true"),
        "no params": not params,
        f"artifacts {files}": files != artifacts_of(record),
    }
    return [f"{record.key}: {name}" for name, wrong in words.items() if wrong]


def forget(store: str) -> None:
    """Every run counts as deleted, as MLflow deletes one."""
    engine = create_engine(store)
    with engine.begin() as connection:
        connection.execute(text("UPDATE runs SET lifecycle_stage = 'deleted'"))
    engine.dispose()
