"""What is read from MLflow for tables and figures, and the summary that is written to it."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
from mlflow import MlflowClient
from mlflow.entities import Metric, Run

from repro import view
from repro.collector import without_collector
from repro.records import now_ms
from repro.tracking.store import experiment_id, open_store, told, tracking_uri

Cell = tuple[dict[str, str], dict[str, float]]  # tags, metrics


def load_results(runs_dir: Path) -> pd.DataFrame:
    """One row a finished run: run_id, the tags (trial as int), and the final metrics.

    Columns ``top1_last``, ``top1_best``, ``top1_last10`` in percent. Raises UserError where MLflow
    cannot be reached, as ``write_summary`` does.
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


def write_summary(runs_dir: Path, grid: str, table: pd.DataFrame, note: str) -> None:
    """Experiment ``<grid> summary``: one run a (pair, method) with mean, std, n, published.

    ``table`` has text columns ``pair``, ``method``, ``profile`` (tags) and numeric ones (metrics).
    The profile's runs that differ are written anew; ``note`` is the Markdown on top.
    """
    cells = [view.summary_cell(row) for row in table.to_dict("records")]
    with told(tracking_uri(runs_dir)):
        client = open_store(runs_dir)
        experiment = experiment_id(client, runs_dir, f"{grid} summary")
        client.set_experiment_tag(experiment, "mlflow.note.content", note)
        _write_cells(client, experiment, set(table["profile"]), cells)


def _write_cells(
    client: MlflowClient, experiment: str, profiles: Iterable[str], cells: list[Cell]
) -> None:
    for profile in profiles:
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
