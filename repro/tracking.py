"""MLflow as a view of the records: live logging, sync and results. The only user of mlflow."""

import fcntl
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
# Seven retries with growing pauses keep one call to a dead server busy for over a minute.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # seconds

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from repro import spec, view
from repro.collector import without_collector
from repro.errors import UserError
from repro.files import cannot_write, make_directory
from repro.history import START, Position, read_on
from repro.records import Record, Status, now_ms

ARTIFACTS = ("run.json", "environment.json", "history.jsonl", "weights.safetensors")
LOGITS = "test_logits.npz"
EPOCHS_A_BATCH = 40  # MLflow takes 1,000 metrics in one log_batch, an epoch has a dozen
TrackingError = (MlflowException, SQLAlchemyError, OSError)


def tracking_uri(runs_dir: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else sqlite in the runs directory."""
    default = f"sqlite:///{(runs_dir / 'mlflow.db').resolve()}"
    return os.environ.get("MLFLOW_TRACKING_URI") or default


def open_store(runs_dir: Path) -> MlflowClient:
    """The client; a local database is created once, under a lock, in WAL mode.

    Raises UserError where the directory cannot be written or the file is not a database.
    """
    uri = tracking_uri(runs_dir)
    if not uri.startswith("sqlite:///"):
        return MlflowClient(uri)
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)  # no lines about its migrations
    database = Path(uri.removeprefix("sqlite:///"))
    make_directory(database.parent)
    try:
        with (database.parent / "mlflow.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # parallel first uses race in MLflow's migration
            client = MlflowClient(uri)
            client.search_experiments(max_results=1)
            with sqlite3.connect(database) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            connection.close()
    except OSError as error:
        raise cannot_write(database, error) from error
    except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{database} cannot be opened ({reason}); move it away and run `repro sync`: "
            "the records hold everything"
        ) from error
    return client


@dataclass
class Stored:
    """What MLflow holds of a run, as far as this process knows: it need not ask again."""

    run_id: str
    started_ms: int
    shown: tuple[Any, ...]  # its status, and of an ended run when it ended and why
    complete: bool  # finished, and everything is there
    epochs: int
    read: Position = START  # of the history


class Mirror:
    """Makes MLflow equal to records, run by run; what is there already is not written again."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir, self.uri = runs_dir, tracking_uri(runs_dir)
        self.client = open_store(runs_dir)
        self.stored: dict[str, Stored] = {}  # by key

    def update(self, record: Record) -> bool:
        """Bring one run up to date with its record; True where something was written.

        The status is read before the history, so an end that is seen has all its epochs.
        """
        status = record.status()
        if status is None:
            return False
        try:
            stored, new = self._known(record, status)
            if stored.complete:
                return new
            wrote = self._log_epochs(record, stored)
            return self._log_status(record, stored, status) or wrote or new
        except BaseException:
            self.stored.pop(record.key, None)  # it may be half done: MLflow is asked again
            raise

    def _known(self, record: Record, status: Status) -> tuple[Stored, bool]:
        """What is stored of this training, and whether its run was made just now."""
        known = self.stored.get(record.key)
        if known and known.started_ms == status.started_ms:
            return known, False
        ids = record.read_json("mlflow.json") or {}
        run = self._get(ids.get(self.uri))
        if run is None:
            name = view.experiment_name(record.tags())
            experiment = experiment_id(self.client, self.runs_dir, name)
            run = self._find(experiment, record.key, status)
            run = run or self._create(record, experiment, status)
            record.write_json("mlflow.json", ids | {self.uri: run.info.run_id})
        bare = not run.data.params  # new, or its making was cut short
        if bare:
            self._describe(record, run.info.run_id)
        self.stored[record.key] = self._read(run, status)
        return self.stored[record.key], bare

    def _get(self, run_id: str | None) -> Run | None:
        """None where the database is a new one at the old place, or the run was deleted."""
        try:
            run = self.client.get_run(run_id) if run_id else None
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        return run if run and run.info.lifecycle_stage == "active" else None

    def _read(self, run: Run, status: Status) -> Stored:
        run_id, tags = run.info.run_id, run.data.tags
        complete = tags.get("complete") == "true"
        begun = "test/top1" in run.data.metrics and not complete
        metrics = self.client.get_metric_history(run_id, "test/top1") if begun else ()
        return Stored(
            run_id,
            status.started_ms,
            view.shown(run.info.status, run.info.end_time, tags.get("reason", "")),
            complete,
            max((metric.step + 1 for metric in metrics), default=0),
        )

    def _find(self, experiment: str, key: str, status: Status) -> Run | None:
        """The run of this training; one of an earlier training, whose record is gone, is deleted.

        A training keeps the time of its start through every interruption.
        """
        for run in self.client.search_runs([experiment], f"tags.key = '{key}'"):
            if run.info.start_time == status.started_ms:
                return run
            self.client.delete_run(run.info.run_id)
        return None

    def _create(self, record: Record, experiment: str, status: Status) -> Run:
        tags = record.tags() | view.environment_tags(record.read_json("environment.json") or {})
        started, name = status.started_ms, view.run_name(tags)
        return self.client.create_run(experiment, start_time=started, tags=tags, run_name=name)

    def _describe(self, record: Record, run_id: str) -> None:
        """Data set and params; the params come last, for they tell that this was done."""
        run, environment = record.run(), record.read_json("environment.json") or {}
        images = str(environment.get("training_images", ""))
        self.client.log_inputs(run_id, [dataset_input(run.stream, images)])
        params = [Param(name, str(value)) for name, value in view.flat(spec.encode(run)).items()]
        self.client.log_batch(run_id, params=params)

    def _log_epochs(self, record: Record, stored: Stored) -> bool:
        entries, position = read_on(record, stored.read)
        fresh = [entry for entry in entries if entry["epoch"] >= stored.epochs]
        for start in range(0, len(fresh), EPOCHS_A_BATCH):  # whole epochs: a crash halves none
            some = fresh[start : start + EPOCHS_A_BATCH]
            metrics = [metric for entry in some for metric in epoch_metrics(entry)]
            self.client.log_batch(stored.run_id, metrics)
        stored.read, stored.epochs = position, max(stored.epochs, position.epochs)
        return bool(fresh)

    def _log_status(self, record: Record, stored: Stored, status: Status) -> bool:
        run_id, state, ended = stored.run_id, view.STATES[status.state], status.ended_ms
        reason = status.reason[: view.REASON_CHARACTERS]
        now = view.shown(state, ended, reason)
        if stored.shown == now and state != "FINISHED":
            return False
        if state == "RUNNING":
            self.client.update_run(run_id, status=state)
        else:
            metrics = [Metric(name, value, ended, 0) for name, value in status.final]
            self.client.log_batch(run_id, metrics, tags=[RunTag("reason", reason)])
            if state == "FINISHED":
                self._log_artifacts(record, run_id)
            self.client.set_terminated(run_id, state, end_time=ended)
        if state == "FINISHED":
            self.client.set_tag(run_id, "complete", "true")
        stored.shown, stored.complete = now, state == "FINISHED"
        return True

    def _log_artifacts(self, record: Record, run_id: str) -> None:
        for name in (*ARTIFACTS, LOGITS):
            if (record.directory / name).exists():
                self.client.log_artifact(run_id, str(record.directory / name))


def epoch_metrics(entry: dict[str, Any]) -> list[Metric]:
    values = entry["metrics"] | {"time/epoch_seconds": entry["seconds"]}
    return [Metric(n, float(v), entry["time_ms"], entry["epoch"]) for n, v in values.items()]


def dataset_input(stream: spec.Stream, images: str) -> DatasetInput:
    """``images``: the fingerprint of the training images, of which MLflow takes 36 characters."""
    source = "cs.toronto.edu/~kriz/cifar.html" if stream.dataset == "cifar100" else "scikit-learn"
    profile = str(spec.encode(stream))
    return DatasetInput(Dataset(stream.dataset, images[:36], "local", source, profile=profile))


def experiment_id(client: MlflowClient, runs_dir: Path, name: str) -> str:
    """The experiment's id; it is made where it is missing, local artifacts under ``runs_dir``."""
    found = client.get_experiment_by_name(name)
    if found:
        return found.experiment_id
    local = tracking_uri(runs_dir).startswith("sqlite:")
    location = (runs_dir / "artifacts" / name.replace(" ", "-")).resolve().as_uri()
    return client.create_experiment(name, artifact_location=location if local else None)


def sync_records(records: Iterable[Record], runs_dir: Path) -> Iterator[tuple[Record, bool]]:
    """Bring every record's run up to date; yields each with whether something was written."""
    mirror = Mirror(runs_dir)
    for record in records:
        yield record, mirror.update(record)


def load_results(runs_dir: Path) -> pd.DataFrame:
    """One row a finished run: run_id, the tags (trial as int), and the final metrics.

    Columns ``top1_last``, ``top1_best``, ``top1_last10`` in percent.
    """
    client = open_store(runs_dir)
    experiments = [e.experiment_id for e in client.search_experiments() if " " in e.name]
    rows, token = [], None
    while experiments:
        with without_collector():
            page = client.search_runs(
                experiments, "tags.complete = 'true'", max_results=1000, page_token=token
            )
        rows += [view.result_row(run) for run in page]
        token = page.token
        if not token:
            break
    return pd.DataFrame(rows, columns=["run_id", *view.TAGS, *view.FINAL])


def write_summary(runs_dir: Path, grid: str, table: pd.DataFrame, note: str) -> None:
    """Experiment ``<grid> summary``: one run a (pair, method) with mean, std, n, published.

    ``table`` has text columns ``pair``, ``method``, ``profile`` (tags) and numeric ones (metrics).
    The profile's runs that differ are written anew; ``note`` is the Markdown on top.
    """
    client = open_store(runs_dir)
    experiment = experiment_id(client, runs_dir, f"{grid} summary")
    client.set_experiment_tag(experiment, "mlflow.note.content", note)
    cells = [view.summary_cell(row) for row in table.to_dict("records")]
    for profile in set(table["profile"]):
        for old in client.search_runs([experiment], f"tags.profile = '{profile}'"):
            tags = {n: v for n, v in old.data.tags.items() if not n.startswith("mlflow.")}
            if old.info.status == "FINISHED" and (tags, old.data.metrics) in cells:
                cells.remove((tags, old.data.metrics))
            else:
                client.delete_run(old.info.run_id)
    for tags, numbers in cells:
        name = f"{tags['pair']} {tags['method']}"
        run_id, now = client.create_run(experiment, tags=tags, run_name=name).info.run_id, now_ms()
        client.log_batch(run_id, [Metric(n, value, now, 0) for n, value in numbers.items()])
        client.set_terminated(run_id)
