"""MLflow as a view of the records: live logging, sync and results. The only user of mlflow."""

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
# Seven retries with growing pauses keep one call to a dead server busy for over a minute.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # seconds

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from repro import spec
from repro.errors import UserError
from repro.files import cannot_write, make_directory
from repro.records import Record, Status, now_ms

STATES = {"RUNNING": "RUNNING", "FINISHED": "FINISHED", "FAILED": "FAILED", "STOPPED": "KILLED"}
ARTIFACTS = ("run.json", "environment.json", "history.jsonl", "weights.safetensors")
LOGITS = "test_logits.npz"
TAGS = ("key", "dataset", "profile", "grid", "pair", "teacher", "student", "method", "trial")
FINAL = ("top1_last", "top1_best", "top1_last10")
PAUSE_SECONDS = 60.0  # without MLflow after it failed
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


class Mirror:
    """Makes MLflow equal to records, run by run; what is there already is not written again."""

    def __init__(self, runs_dir: Path) -> None:
        self.runs_dir, self.uri = runs_dir, tracking_uri(runs_dir)
        self.client = open_store(runs_dir)
        self.logged: dict[str, int] = {}  # key -> epochs known to be in MLflow

    def update(self, record: Record) -> bool:
        """Bring one run up to date with its record; True where something was written."""
        status = record.status()
        if status is None:
            return False
        run_id, new = self._run_id(record, status)
        wrote = self._log_epochs(record, run_id)
        return self._log_status(record, run_id, status) or wrote or new

    def _run_id(self, record: Record, status: Status) -> tuple[str, bool]:
        ids = record.read_json("mlflow.json") or {}
        known = ids.get(self.uri)
        if known and (record.key in self.logged or self._holds(known)):
            return known, False
        experiment = experiment_id(self.client, self.runs_dir, experiment_name(record.tags()))
        run_id = self._find(experiment, record.key, status)
        new = run_id is None
        run_id = run_id or self._create(record, experiment, status)
        record.write_json("mlflow.json", ids | {self.uri: run_id})
        return run_id, new

    def _find(self, experiment: str, key: str, status: Status) -> str | None:
        """The run of this training; one of an earlier training, whose record is gone, is deleted.

        A training keeps the time of its start through every interruption.
        """
        for run in self.client.search_runs([experiment], f"tags.key = '{key}'"):
            if run.info.start_time == status.started_ms:
                return run.info.run_id
            self.client.delete_run(run.info.run_id)
        return None

    def _holds(self, run_id: str) -> bool:
        """False where the database is a new one at the old place, or the run was deleted."""
        try:
            return self.client.get_run(run_id).info.lifecycle_stage == "active"
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise

    def _create(self, record: Record, experiment: str, status: Status) -> str:
        run, tags = record.run(), record.tags()
        environment = record.read_json("environment.json") or {}
        commit = environment.get("git_commit")
        tags |= {"mlflow.source.git.commit": commit} if commit else {}
        tags |= {
            name: str(environment[name]) for name in ("device", "torch") if name in environment
        }
        created = self.client.create_run(
            experiment,
            start_time=status.started_ms,
            tags=tags,
            run_name=f"{tags['pair']} {tags['method']} {tags['trial']}",
        )
        run_id = created.info.run_id
        params = [Param(name, str(value)) for name, value in flat(spec.encode(run)).items()]
        self.client.log_batch(run_id, params=params)
        images = str(environment.get("training_images", ""))
        self.client.log_inputs(run_id, [dataset_input(run.stream, images)])
        return run_id

    def _log_epochs(self, record: Record, run_id: str) -> bool:
        history = record.history()
        if record.key not in self.logged:
            stored = self.client.get_metric_history(run_id, "test/top1")
            self.logged[record.key] = max((metric.step + 1 for metric in stored), default=0)
        fresh = history[self.logged[record.key] :]
        for start in range(0, len(fresh), EPOCHS_A_BATCH):  # whole epochs: a crash halves none
            some = fresh[start : start + EPOCHS_A_BATCH]
            self.client.log_batch(run_id, [m for entry in some for m in epoch_metrics(entry)])
        self.logged[record.key] = max(self.logged[record.key], len(history))
        return bool(fresh)

    def _log_status(self, record: Record, run_id: str, status: Status) -> bool:
        stored = self.client.get_run(run_id)
        state = STATES[status.state]
        complete = stored.data.tags.get("complete") == "true"
        if complete or (stored.info.status == state and state != "FINISHED"):
            return False
        if state == "RUNNING":
            self.client.update_run(run_id, status=state)
            return True
        ended = status.ended_ms
        metrics = [Metric(name, value, ended, 0) for name, value in status.final]
        self.client.log_batch(run_id, metrics, tags=[RunTag("reason", status.reason)])
        if state == "FINISHED":
            self._log_artifacts(record, run_id)
        self.client.set_terminated(run_id, state, end_time=ended)
        if state == "FINISHED":
            self.client.set_tag(run_id, "complete", "true")
        return True

    def _log_artifacts(self, record: Record, run_id: str) -> None:
        for name in (*ARTIFACTS, LOGITS):
            if (record.directory / name).exists():
                self.client.log_artifact(run_id, str(record.directory / name))


class Resilient:
    """A tracker whose failures never stop training: a line is said, ``repro sync`` heals it.

    After a failure it leaves MLflow alone for a minute, so that a dead server does not slow steps.
    """

    def __init__(self, mirror: Mirror, say: Callable[[str], None]) -> None:
        self.mirror, self.say, self.failed, self.resume_at = mirror, say, False, 0.0

    def update(self, record: Record) -> None:
        if time.monotonic() < self.resume_at:
            return
        try:
            self.mirror.update(record)
        except TrackingError as error:
            self.resume_at = time.monotonic() + PAUSE_SECONDS
            if not self.failed:
                reason = str(error).splitlines()[0]
                self.say(f"MLflow: {reason}; training goes on, `repro sync` adds what is missing")
            self.failed = True


def experiment_name(tags: dict[str, str]) -> str:
    """``<dataset> <profile>``; runs evaluated on the held-out split stand apart."""
    suffix = " held-out" if tags.get("split") == "tune" else ""
    return f"{tags['dataset']} {tags['profile']}{suffix}"


def epoch_metrics(entry: dict[str, Any]) -> list[Metric]:
    values = entry["metrics"] | {"time/epoch_seconds": entry["seconds"]}
    return [Metric(n, float(v), entry["time_ms"], entry["epoch"]) for n, v in values.items()]


def flat(data: Any, prefix: str = "") -> dict[str, Any]:
    """Nested data as ``{"loss.temperature": 4.0, ...}``."""
    if not isinstance(data, dict):
        return {prefix.rstrip("."): data}
    return {n: v for name, item in data.items() for n, v in flat(item, f"{prefix}{name}.").items()}


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
        page = client.search_runs(
            experiments, "tags.complete = 'true'", max_results=1000, page_token=token
        )
        rows += [_row(run) for run in page]
        token = page.token
        if not token:
            break
    return pd.DataFrame(rows, columns=["run_id", *TAGS, *FINAL])


def _row(run: Any) -> dict[str, Any]:
    final = {
        n.removeprefix("final/"): v for n, v in run.data.metrics.items() if n.startswith("final/")
    }
    tags = {name: run.data.tags.get(name, "") for name in TAGS}
    return {"run_id": run.info.run_id} | tags | {"trial": int(tags["trial"])} | final


def write_summary(runs_dir: Path, grid: str, table: pd.DataFrame, note: str) -> None:
    """Experiment ``<grid> summary``: one run a (pair, method) with mean, std, n, published.

    ``table`` has text columns ``pair``, ``method``, ``profile`` (tags) and numeric ones (metrics).
    The runs of the profile are written anew each time; ``note`` is the Markdown on top.
    """
    client = open_store(runs_dir)
    experiment = experiment_id(client, runs_dir, f"{grid} summary")
    client.set_experiment_tag(experiment, "mlflow.note.content", note)
    for profile in set(table["profile"]):
        for old in client.search_runs([experiment], f"tags.profile = '{profile}'"):
            client.delete_run(old.info.run_id)
    for cell in table.to_dict("records"):
        tags = {str(name): str(value) for name, value in cell.items() if isinstance(value, str)}
        run = client.create_run(experiment, tags=tags, run_name=f"{cell['pair']} {cell['method']}")
        run_id, now = run.info.run_id, now_ms()
        numbers = {str(n): v for n, v in cell.items() if isinstance(v, int | float) and v == v}
        client.log_batch(run_id, [Metric(n, float(v), now, 0) for n, v in numbers.items()])
        client.set_terminated(run_id)
