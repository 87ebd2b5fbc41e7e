"""What is read from MLflow for tables and figures."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Run

from repro import view
from repro.collector import without_collector
from repro.tracking.store import open_store, told, tracking_uri


def load_results(runs_dir: Path) -> pd.DataFrame:
    """One row a finished run: run_id, the tags (trial as int), and the final metrics.

    Columns ``top1_last``, ``top1_best``, ``top1_last10`` in percent. Raises UserError where MLflow
    cannot be reached.
    """
    with told(tracking_uri(runs_dir)):
        rows = [view.result_row(run) for run in complete_runs(open_store(runs_dir))]
    return pd.DataFrame(rows, columns=["run_id", *view.TAGS, *view.FINAL])


def complete_runs(client: MlflowClient) -> Iterator[Run]:
    experiments = [e.experiment_id for e in client.search_experiments() if " " in e.name]
    token = None
    while experiments:
        with without_collector():
            page = client.search_runs(
                experiments, "tags.complete = 'true'", max_results=1000, page_token=token
            )
        yield from page
        token = page.token
        if not token:
            break
