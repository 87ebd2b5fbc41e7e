"""A sync of 500 runs of 240 epochs takes less than three minutes (``made_runs`` measures it)."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from repro.tracking import sync_records
from tests.tracking.made_runs import make_all

RUNS = 8
SECONDS_A_RUN = 180 / 500
CALLS_A_RUN = {
    "search_runs": 1,
    "create_run": 1,
    "log_inputs": 1,
    "log_batch": 1 + 4 + 1,  # params; 3,120 metrics, 1,000 at once; final ones
    "log_artifact": 5,
    "set_terminated": 1,
    "set_tag": 1,
}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The client's calls that read or write a run, by name."""
    found: Counter[str] = Counter()

    def watch(name: str) -> None:
        call = getattr(MlflowClient, name)

        def watched(*given: Any, **named: Any) -> Any:
            found[name] += 1
            return call(*given, **named)

        monkeypatch.setattr(MlflowClient, name, watched)

    for name in (*CALLS_A_RUN, "get_run", "get_metric_history", "list_artifacts", "update_run"):
        watch(name)
    return found


def test_many_runs_take_few_calls_and_little_time(runs_dir: Path, calls: Counter[str]) -> None:
    """Its own time, whatever else the machine does."""
    records = make_all(runs_dir, RUNS)
    began = time.thread_time()
    assert {synced.outcome for synced in sync_records(records, runs_dir)} == {"written"}
    assert time.thread_time() - began < RUNS * SECONDS_A_RUN
    assert calls == {name: RUNS * count for name, count in CALLS_A_RUN.items()}
    calls.clear()
    assert {synced.outcome for synced in sync_records(records, runs_dir)} == {"right"}
    assert calls == {"search_runs": 1, "get_metric_history": RUNS}
