"""A run's record made into its MLflow run, as training goes on or, in full, by ``repro sync``."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlparse

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from repro import notes, spec, view
from repro.differences import Seen, differ, lacking
from repro.errors import LeaseLost
from repro.history import START, Position, read_on
from repro.leases import Leases
from repro.records import Record, Status
from repro.stages import Purpose
from repro.tracking.entries import artifacts_of, batches, dataset_input, durable, ids_of
from repro.tracking.moved import relocate
from repro.tracking.store import experiment_id, open_store, tracking_uri

Outcome = Literal["written", "right", "held"]


@dataclass
class Stored:
    """What MLflow holds of a run, as far as this process knows: it need not ask again."""

    run_id: str
    started_ms: int
    shown: tuple[Any, ...]  # its status, and of an ended run when it ended and why
    complete: bool  # finished, and everything is there
    top1: dict[int, float]  # by epoch: which epochs are there
    twice: bool = False  # an epoch is there with two values
    artifacts: Mapping[str, int | None] = field(default_factory=dict)
    read: Position = START  # of the history


class Mirror:
    """Makes MLflow equal to records, run by run; what is there already is not written again.

    A run that another process holds the lease of is left to that process.
    """

    def __init__(self, runs_dir: Path, leases: Leases | None = None) -> None:
        self.runs_dir, self.uri = runs_dir, tracking_uri(runs_dir)
        self.leases = leases or Leases()
        self.client = open_store(runs_dir)
        relocate(runs_dir)
        self.stored: dict[str, Stored] = {}  # by key

    def update(self, record: Record) -> Outcome:
        """Add what is new in a record. Raises what MLflow raises, and UserError for a damaged one.

        The status is read before the history, so an end that is seen has all its epochs.
        """
        return self.under_lease(record, "mirror", self.add_new)

    def under_lease(
        self, record: Record, purpose: Purpose, write: Callable[[Record, Status], bool]
    ) -> Outcome:
        """``write`` what is to be written of a run that has begun; False: there was nothing.

        After an error MLflow is asked again what it has: a write may be half done.
        """
        if record.status() is None:
            return "right"
        try:
            with self.leases.holding(record, purpose) as held:
                status = held.status() if held else None
                if held and status:
                    return "written" if write(held, status) else "right"
                if held is None:
                    self.stored.pop(record.key, None)  # its owner adds to it
                return "held" if held is None else "right"
        except LeaseLost:
            self.stored.pop(record.key, None)
            return "held"
        except BaseException:
            self.stored.pop(record.key, None)
            raise

    def add_new(self, record: Record, status: Status) -> bool:
        stored, new = self._known(record, status)
        if stored.complete:
            return new
        wrote = self.log_epochs(record, stored)
        if wrote is None:
            self.delete(record, stored.run_id)
            del self.stored[record.key]
            return self.add_new(record, status)
        return self.log_status(record, stored, status) or wrote or new

    def _known(self, record: Record, status: Status) -> tuple[Stored, bool]:
        """What is stored of this training, and whether its run was made just now."""
        known = self.stored.get(record.key)
        if known and known.started_ms == status.started_ms:
            return known, False
        run = named_run(self.client, record, self.uri)
        if run is None or run.info.start_time != status.started_ms:
            name = view.experiment_name(record.tags())
            experiment = experiment_id(self.client, self.runs_dir, name, notes.training(name))
            run = self._find(record, experiment, status)
            run = run or self._create(record, experiment, status)
            self.remember(record, run.info.run_id)
        bare = not run.data.params  # new, or its making was cut short
        if bare:
            self.describe(record, run.info.run_id)
        self.stored[record.key] = stored_of(seen_of(self.client, run, full=False))
        return self.stored[record.key], bare

    def remember(self, record: Record, run_id: str) -> None:
        """Write the run's id into the record."""
        ids = ids_of(record)
        if ids.get(self.uri) != run_id:
            record.write_json("mlflow.json", ids | {self.uri: run_id})

    def _find(self, record: Record, experiment: str, status: Status) -> Run | None:
        """The run of this training; one of an earlier training, whose record is gone, is deleted.

        A training keeps the time of its start through every interruption.
        """
        found = None
        for run in self.client.search_runs([experiment], f"tags.key = '{record.key}'"):
            if found is None and run.info.start_time == status.started_ms:
                found = run
            else:
                self.delete(record, run.info.run_id)
        return found

    def delete(self, record: Record, run_id: str) -> None:
        with durable(record, "run deleted"):
            self.client.delete_run(run_id)

    def _create(self, record: Record, experiment: str, status: Status) -> Run:
        environment = view.environment_tags(record.read_json("environment.json") or {})
        given = record.tags()
        tags = given | view.grouping(given) | environment | {"key": record.key}
        started, name = status.started_ms, view.run_name(tags)
        with durable(record, "run created"):
            run = self.client.create_run(experiment, start_time=started, tags=tags, run_name=name)
        try:
            self.remember(record, run.info.run_id)
        except LeaseLost:
            self.client.delete_run(run.info.run_id)  # the new owner makes its own
            raise
        return run

    def describe(self, record: Record, run_id: str) -> None:
        """Data set and params; the params come last, for they tell that this was done."""
        run, environment = record.run(), record.read_json("environment.json") or {}
        images = str(environment.get("training_images", ""))
        inputs = [dataset_input(run.stream, images)]
        with durable(record, "inputs logged"):
            try:
                self.client.log_inputs(run_id, inputs)
            except MlflowException:  # of two processes with a new data set MLflow refuses one
                self.client.log_inputs(run_id, inputs)
        params = [Param(name, str(value)) for name, value in view.flat(spec.encode(run)).items()]
        with durable(record, "params logged"):
            self.client.log_batch(run_id, params=params)

    def log_epochs(self, record: Record, stored: Stored) -> bool | None:
        """True where something was new; None where MLflow has other values, as of an epoch that
        was trained again on another machine: the run must be made anew."""
        entries, position = read_on(record, stored.read)
        top1 = {entry["epoch"]: entry["metrics"]["test/top1"] for entry in entries}
        if stored.twice or differ(top1, stored.top1):
            return None
        fresh = [entry for entry in entries if entry["epoch"] not in stored.top1]
        for metrics in batches(fresh):
            with durable(record, "epochs logged"):
                self.client.log_batch(stored.run_id, metrics)
        stored.read = position
        stored.top1 |= top1
        return bool(fresh)

    def log_status(self, record: Record, stored: Stored, status: Status) -> bool:
        run_id, state, ended = stored.run_id, view.STATES[status.state], status.ended_ms
        reason = status.reason[: view.REASON_CHARACTERS]
        now = view.shown(state, ended, reason)
        if stored.shown == now and state != "FINISHED":
            return False
        if state == "RUNNING":
            with durable(record, "status updated"):
                self.client.update_run(run_id, status=state)
        else:
            metrics = [Metric(name, value, ended, 0) for name, value in status.final]
            with durable(record, "final logged"):
                self.client.log_batch(run_id, metrics, tags=[RunTag("reason", reason)])
            if state == "FINISHED":
                self._log_artifacts(record, stored)
            with durable(record, "run terminated"):
                self.client.set_terminated(run_id, state, end_time=ended)
        if state == "FINISHED":
            with durable(record, "run complete"):
                self.client.set_tag(run_id, "complete", "true")
        stored.shown, stored.complete = now, state == "FINISHED"
        return True

    def _log_artifacts(self, record: Record, stored: Stored) -> None:
        for name in lacking(artifacts_of(record), stored.artifacts):
            with durable(record, "artifact logged"):
                self.client.log_artifact(stored.run_id, str(record.directory / name))


def stored_of(seen: Seen) -> Stored:
    top1 = dict(seen.top1)
    return Stored(
        seen.run_id,
        seen.started_ms,
        seen.shown,
        seen.complete,
        top1,
        twice=len(top1) < len(seen.top1),
        artifacts=seen.artifacts,
    )


def named_run(client: MlflowClient, record: Record, uri: str) -> Run | None:
    """The run that the record names. None where the database is a new one at the old place, the
    run was deleted, or is that of another record."""
    run_id = ids_of(record).get(uri)
    try:
        run = client.get_run(run_id) if run_id else None
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    mine = run and run.info.lifecycle_stage == "active" and run.data.tags.get("key") == record.key
    return run if mine else None


def seen_of(client: MlflowClient, run: Run, *, full: bool) -> Seen:
    """What MLflow holds of a run; not ``full``: as much as an update must know."""
    info, tags, metrics = run.info, run.data.tags, run.data.metrics
    complete = tags.get("complete") == "true"
    begun = "test/top1" in metrics and (full or not complete)
    history = client.get_metric_history(info.run_id, "test/top1") if begun else ()
    return Seen(
        run_id=info.run_id,
        started_ms=info.start_time,
        shown=view.shown(info.status, info.end_time, tags.get("reason", "")),
        complete=complete,
        described=bool(run.data.params),
        tags=tags,
        final={name: value for name, value in metrics.items() if name.startswith("final/")},
        top1=[(metric.step, metric.value) for metric in history],
        artifacts=artifacts_at(client, run) if full else {},
    )


def artifacts_at(client: MlflowClient, run: Run) -> dict[str, int | None]:
    """Bytes by name. Files are looked at here: it is quicker than through MLflow."""
    uri = urlparse(run.info.artifact_uri)
    if uri.scheme == "file":
        folder = Path(unquote(uri.path))
        return {f.name: f.stat().st_size for f in (folder.iterdir() if folder.is_dir() else ())}
    return {f.path: f.file_size for f in client.list_artifacts(run.info.run_id)}
