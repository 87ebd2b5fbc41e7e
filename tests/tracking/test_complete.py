"""The results that are read from MLflow, and the summary written to it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.store.entities import PagedList

from repro import view
from repro.records import Records
from repro.spec import key
from repro.tracking import load_results, tracking_uri, write_summary
from tests.tracking.mirror import KD, RUNS, record_of, shorten, sync


def test_results_are_the_complete_runs_with_their_types(mirrored: Records) -> None:
    results = load_results(mirrored.runs_dir)
    assert list(results) == ["run_id", *view.TAGS, "top1_last", "top1_best", "top1_last10"]
    assert set(results["key"]) == {key(run) for run in RUNS}
    assert results["trial"].dtype == np.int64
    assert {results[f"top1_{name}"].dtype for name in ("last", "best", "last10")} == {
        np.dtype(float)
    }
    row = results.set_index("key").loc[key(KD)]
    final = dict(record_of(mirrored).status().final)  # type: ignore[union-attr]
    assert row["top1_last"] == final["final/top1_last"]
    assert row["top1_best"] == final["final/top1_best"]
    assert row["top1_last10"] == final["final/top1_last10"]
    assert (row["method"], row["trial"], row["pair"]) == ("kd", 1, "resnet8:resnet8")


def test_results_leave_unfinished_runs_out(records: Records) -> None:
    shorten(record_of(records), 2, "STOPPED")
    sync(records)
    assert set(load_results(records.runs_dir)["method"]) == {"teacher", "cmkd"}


def test_an_empty_store_has_results_without_rows(runs_dir: Path) -> None:
    results = load_results(runs_dir)
    assert len(results) == 0
    assert "top1_last" in results


def test_results_are_read_page_by_page(mirrored: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    search_runs = MlflowClient.search_runs
    pages = []

    def small_pages(self: MlflowClient, *given: Any, **named: Any) -> PagedList:
        page = search_runs(self, *given, **named | {"max_results": 2})
        pages.append(len(page))
        return page

    monkeypatch.setattr(MlflowClient, "search_runs", small_pages)
    assert load_results(mirrored.runs_dir)["key"].nunique() == 3
    assert pages[:2] == [2, 1]


def test_a_summary_is_rewritten_in_place(runs_dir: Path) -> None:
    cells = {"pair": "a:b", "profile": "demo", "published": float("nan")}
    table = pd.DataFrame(
        [cells | {"method": "kd", "mean": 70.0, "n": 2}, cells | {"method": "kd+ls", "mean": 71.5}]
    )
    write_summary(runs_dir, "demo", table, "first")
    write_summary(runs_dir, "demo", table.assign(mean=[72.25, 71.5]), "# note")
    client = MlflowClient(tracking_uri(runs_dir))
    experiment = client.get_experiment_by_name("demo summary")
    assert experiment.tags["mlflow.note.content"] == "# note"
    found = client.search_runs([experiment.experiment_id])
    shown = {run.data.tags["method"]: run for run in found}
    assert len(found) == len(shown) == 2
    assert shown["kd"].data.metrics == {"mean": 72.25, "n": 2.0}
    assert shown["kd+ls"].data.metrics == {"mean": 71.5}
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {run.info.run_name for run in found} == {"a:b kd", "a:b kd+ls"}
    assert len(load_results(runs_dir)) == 0


def test_a_summary_that_is_the_same_is_left_alone(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = {"pair": "a:b", "profile": "demo", "mean": 70.1, "n": 2, "published": float("nan")}
    table = pd.DataFrame([cell | {"method": method} for method in ("kd", "dkd", "cmkd")])
    write_summary(runs_dir, "demo", table, "")
    changed = table.assign(mean=[70.1, 70.2, 70.1])[:2]
    made: list[str] = []
    create_run = MlflowClient.create_run

    def watched(*given: Any, **named: Any) -> Any:
        made.append(named["run_name"])
        return create_run(*given, **named)

    monkeypatch.setattr(MlflowClient, "create_run", watched)
    write_summary(runs_dir, "demo", table, "")
    assert made == []
    write_summary(runs_dir, "demo", changed, "")
    assert made == ["a:b dkd"]
    client = MlflowClient(tracking_uri(runs_dir))
    found = client.search_runs([client.get_experiment_by_name("demo summary").experiment_id])
    shown = {run.data.tags["method"]: run.data.metrics["mean"] for run in found}
    assert shown == {"kd": 70.1, "dkd": 70.2}
