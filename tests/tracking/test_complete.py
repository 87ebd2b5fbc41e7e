"""The results that are read from MLflow."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.store.entities import PagedList

from repro import view
from repro.records import Records
from repro.spec import key
from repro.tracking import load_results
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
