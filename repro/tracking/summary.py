"""Experiment ``<grid> summary``: a run a table cell and a run a claim, and notes above runs."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from repro import notes, view
from repro.records import now_ms
from repro.tracking.store import experiment_id, open_store, told, tracking_uri

CELL = "cell"
TAG_CHARACTERS = view.REASON_CHARACTERS


class Entry(NamedTuple):
    """A run that holds one result."""

    name: str
    tags: dict[str, str]
    metrics: dict[str, float]

    def same(self, run: Run) -> bool:
        """Is that what a run holds, wholly written? A note that a reader adds may stay."""
        tags = {
            name: value
            for name, value in run.data.tags.items()
            if name in self.tags or not name.startswith("mlflow.")
        }
        ended = run.info.status == "FINISHED"
        return ended and tags == self.tags and run.data.metrics == self.metrics


def write_summary(runs_dir: Path, grid: str, table: pd.DataFrame) -> None:
    """A run a (pair, method) with mean, std, n, published.

    ``table`` has text columns ``pair``, ``method``, ``profile`` (tags) and numeric ones (metrics).
    The profile's runs that differ are written anew. Raises UserError where MLflow cannot be
    reached, as all of these do.
    """
    rows = table.to_dict("records")
    for profile in dict.fromkeys(table["profile"]):
        cells = [view.summary_cell(row) for row in rows if row["profile"] == profile]
        entries = [
            Entry(
                f"{tags['pair']} {tags['method']}",
                tags | {"mlflow.runColor": view.grouping(tags)["mlflow.runColor"]},
                numbers,
            )
            for tags, numbers in cells
        ]
        write_entries(runs_dir, grid, CELL, profile=profile, entries=entries)


def write_entries(
    runs_dir: Path, grid: str, kind: str, *, profile: str, entries: Iterable[Entry]
) -> None:
    """The runs of a kind and profile in ``<grid> summary``: those that differ are made anew, those
    that no entry is of go."""
    own = {"kind": kind, "grid": grid, "profile": profile}
    wanted = [entry._replace(tags=_taken(entry.tags | own)) for entry in entries]
    with told(tracking_uri(runs_dir)):
        client = open_store(runs_dir)
        experiment = summary_id(client, runs_dir, grid)
        for run in runs_of(client, experiment, kind, profile):
            equal = [entry for entry in wanted if entry.same(run)]
            if equal:
                wanted.remove(equal[0])
            else:
                client.delete_run(run.info.run_id)
        for entry in reversed(wanted):  # the UI shows the newest first
            _write(client, experiment, entry)


def _taken(tags: Mapping[str, str]) -> dict[str, str]:
    """As MLflow takes tags: what it would cut is cut here, so that it is found equal."""
    return {name: value[:TAG_CHARACTERS] for name, value in tags.items() if value}


def _write(client: MlflowClient, experiment: str, entry: Entry) -> None:
    run = client.create_run(experiment, tags=entry.tags, run_name=entry.name)
    run_id, now = run.info.run_id, now_ms()
    client.log_batch(run_id, [Metric(n, value, now, 0) for n, value in entry.metrics.items()])
    client.set_terminated(run_id)


def summary_id(client: MlflowClient, runs_dir: Path, grid: str) -> str:
    return experiment_id(client, runs_dir, f"{grid} summary", notes.summary(grid))


def runs_of(client: MlflowClient, experiment: str, kind: str, profile: str) -> list[Run]:
    """Runs without a kind are cells of earlier versions."""
    found = client.search_runs([experiment], f"tags.profile = '{profile}'", max_results=5000)
    return [run for run in found if run.data.tags.get("kind", CELL) == kind]


def write_note(runs_dir: Path, name: str, heading: str = "", body: str = "") -> None:
    """Bring the note above an experiment's runs, and its views, up to date; what is equal is left.

    ``heading``, ``body``: the section of results that is new; the others stay. Nothing is made: an
    experiment that is not there has no note.
    """
    with told(tracking_uri(runs_dir)):
        client = open_store(runs_dir)
        experiment = client.get_experiment_by_name(name)
        if experiment is None or experiment.lifecycle_stage == "deleted":
            return
        grid = name.removesuffix(" summary")
        made = notes.summary if grid != name else notes.training
        wanted, given = made(grid, experiment.experiment_id), experiment.tags
        old = given.get(notes.NOTE, "")
        wanted[notes.NOTE] = notes.with_section(wanted[notes.NOTE], old, heading, body)
        for tag, value in wanted.items():
            if given.get(tag) != value:
                client.set_experiment_tag(experiment.experiment_id, tag, value)
