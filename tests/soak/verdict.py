"""What a disturbed grid has left, beside an undisturbed one."""

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient

from repro.records import Record, Records
from repro.spec import Run, key

TIMES = ("seconds", "time_ms", "macs_per_second", "students")
LEFT_BEHIND = ("lease", ".lease.*", ".gone.*", ".*.tmp")


@dataclass
class Verdict:
    """Every line names what is wrong; none: all is well."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)

    def add(self, other: "Verdict") -> None:
        self.lost += other.lost
        self.doubled += other.doubled
        self.stale += other.stale


def result(record: Record) -> tuple[Any, ...]:
    """All that training computed: metrics of every epoch, final ones, weights, test logits."""
    status = record.status()
    final = [(n, v) for n, v in status.final if n != "final/train_seconds"] if status else []
    epochs = [{n: v for n, v in e.items() if n not in TIMES} for e in record.history()]
    return epochs, final, record.weights.read_bytes(), record.test_logits.read_bytes()


def of_records(grid: tuple[Run, ...], directory: Path, reference: Path) -> Verdict:
    verdict = Verdict()
    for run in grid:
        name = f"{run.method} {run.trial}"
        record = Records(directory).own(key(run))
        if Records(directory).state(key(run)) != "FINISHED":
            verdict.lost.append(f"{name} is not finished")
        elif result(record) != result(Records(reference).own(key(run))):
            verdict.lost.append(f"{name} differs from the undisturbed run")
        left = [path for pattern in LEFT_BEHIND for path in record.directory.glob(pattern)]
        verdict.stale += [f"{name}: {path.name}" for path in left]
    return verdict


def of_mlflow(grid: tuple[Run, ...], directory: Path, uri: str) -> Verdict:
    """MLflow against the records: one run each, with its status and every epoch once."""
    verdict, client = Verdict(), MlflowClient(uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    for run in grid:
        name, record = f"{run.method} {run.trial} in MLflow", Records(directory).own(key(run))
        found = client.search_runs(experiments, f"tags.key = '{key(run)}'")
        if not found:
            verdict.lost.append(f"{name} is missing")
            continue
        verdict.doubled += [f"{name} is there {len(found)} times"] if len(found) > 1 else []
        status = found[0].info.status
        verdict.stale += [f"{name} is {status}"] if status != "FINISHED" else []
        logged = client.get_metric_history(found[0].info.run_id, "test/top1")
        steps = sorted((metric.step, metric.value) for metric in logged)
        expected = [(e["epoch"], e["metrics"]["test/top1"]) for e in record.history()]
        if len(steps) > len(expected):
            verdict.doubled.append(f"{name} has {len(steps)} epochs of {len(expected)}")
        elif steps != expected:
            verdict.lost.append(f"{name} has other epochs")
    return verdict


def integrity(database: Path) -> str:
    """What ``PRAGMA integrity_check`` says: ok."""
    with sqlite3.connect(database) as connection:
        answer = str(connection.execute("PRAGMA integrity_check").fetchone()[0])
    connection.close()
    return answer
