"""A launcher whose MLflow is in trouble."""

import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from repro import launch, live
from repro.records import Records
from repro.tracking import load_results, sync_records
from tests import tiny
from tests.launch.demo_grid import GRID, TICKS_AN_EPOCH, Ran, run_demo, states
from tests.launch.test_signals import signalled


def test_a_grid_is_trained_beside_a_database_that_is_none(
    demo: tuple[Path, Ran], with_teacher: Path
) -> None:
    database = with_teacher / "mlflow.db"
    empty = database.read_bytes()
    database.write_bytes(b"garbage" * 1000)
    ran = run_demo(with_teacher)
    assert ran.code == 0
    told = [line for line in ran.output.splitlines() if "MLflow" in line]
    assert len(told) == 1
    assert told[0].startswith(f"MLflow: {database} cannot be opened (")
    assert told[0].endswith("training goes on, `repro sync` adds what is missing")
    assert tiny.results(GRID, with_teacher) == tiny.results(GRID, demo[0])
    assert database.read_bytes() == b"garbage" * 1000
    database.write_bytes(empty)
    synced = [one.outcome for one in sync_records(Records(with_teacher), with_teacher)]
    assert synced == ["written"] * 6
    assert len(load_results(with_teacher)) == 6


def test_mlflow_is_opened_by_another_thread(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its import takes seconds, for which training does not wait."""
    threads: list[str] = []

    def opened(*_: Any) -> tiny.Tracker:
        threads.append(threading.current_thread().name)
        return tiny.Tracker()

    monkeypatch.setattr(launch, "open_mirror", opened)
    monkeypatch.setattr(live, "PERIOD_SECONDS", 0.01)
    run_demo(runs_dir, max_seconds=0)
    assert threads == ["mlflow"]


def test_after_a_signal_the_process_ends_although_the_server_hangs(
    with_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # it takes calls and never answers
        port = silent.getsockname()[1]
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        stop = signalled(with_teacher, signal.SIGTERM, 1 + TICKS_AN_EPOCH + 3)
    assert stop.code == 143
    assert stop.seconds < 5
    assert stop.error.endswith("\nstopped by SIGTERM; give the same command again to go on\n")
    assert states(with_teacher) == ["FINISHED"] + ["STOPPED"] * 5
    assert not list((with_teacher / "records").glob("*/lease"))
