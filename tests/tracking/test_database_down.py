"""A database locked, read-only or broken: training goes on with the same results, a sync heals."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from repro import live
from repro.errors import UserError
from repro.leases import Leases
from repro.live import Live, open_mirror
from repro.runtime import Tracker
from repro.tracking import load_results, write_summary
from tests import tiny
from tests.tracking.down import RUN, check, heal, synced, train

pytestmark = pytest.mark.usefixtures("often")


def wait(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_database_that_is_locked_for_a_moment_is_waited_for(
    runs_dir: Path, alone: dict[str, Any]
) -> None:
    with closing(sqlite3.connect(runs_dir / "mlflow.db", check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        threading.Timer(1.0, other.rollback).start()
        assert train(runs_dir) == []
    assert tiny.results((RUN,), runs_dir) == alone
    assert synced(runs_dir) == ["right"]


@contextmanager
def instead_of_patience(pragma: str) -> Iterator[None]:
    """MLflow sets ``busy_timeout`` (20 s) in every session; have it do this instead."""

    def other(*given: Any) -> tuple[str, Any]:
        statement, parameters = given[2:4]
        return (pragma if "busy_timeout" in statement else statement), parameters

    event.listen(Engine, "before_cursor_execute", other, retval=True)
    yield
    event.remove(Engine, "before_cursor_execute", other)


def test_a_database_that_stays_locked_is_asked_again_in_seconds(
    runs_dir: Path, alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "LOCKED_SECONDS", 0.1)
    lines: list[str] = []
    leases = Leases()  # of one process: what it trains it may mirror
    with closing(sqlite3.connect(runs_dir / "mlflow.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        tracker = Live(lambda: open_mirror(runs_dir, leases), lines.append)
        with instead_of_patience("PRAGMA busy_timeout = 50"):
            tiny.train((RUN,), runs_dir, tracker=tracker, leases=leases)
            wait(lambda: bool(lines))
        other.rollback()
        wait(lambda: len(load_results(runs_dir)) == 1)  # not a minute later
        tracker.close()
    check(runs_dir, alone, lines, "database is locked")


def test_a_summary_that_a_locked_database_does_not_take_is_told(runs_dir: Path) -> None:
    table = pd.DataFrame([{"pair": "a:b", "method": "kd", "profile": "demo", "mean": 71.5}])
    write_summary(runs_dir, "demo", table)
    with closing(sqlite3.connect(runs_dir / "mlflow.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        locked = pytest.raises(UserError, match=r"^MLflow at sqlite:.* is locked; nothing is lost")
        with instead_of_patience("PRAGMA busy_timeout = 50"), locked:
            write_summary(runs_dir, "demo", table.assign(mean=72.0))


def test_a_database_that_is_read_only(runs_dir: Path, alone: dict[str, Any]) -> None:
    with instead_of_patience("PRAGMA query_only = 1"):
        check(runs_dir, alone, train(runs_dir), "attempt to write a readonly database")
    with instead_of_patience("PRAGMA query_only = 0"):
        heal(runs_dir)


def no_database(runs_dir: Path) -> None:
    (runs_dir / "mlflow.db").write_bytes(b"no database" * 1000)


def a_directory(runs_dir: Path) -> None:
    (runs_dir / "mlflow.db").mkdir(parents=True)


@pytest.mark.parametrize("damage", [no_database, a_directory])
def test_a_database_that_cannot_be_opened(
    damage: Callable[[Path], None],
    alone: dict[str, Any],
    store_template: Path,
    tmp_path: Path,
) -> None:
    runs_dir = tmp_path / "runs"
    runs_dir.mkdir()
    damage(runs_dir)
    check(runs_dir, alone, train(runs_dir), "mlflow.db cannot be opened (")
    with pytest.raises(UserError, match="move it away and run `repro sync`"):
        synced(runs_dir)
    (runs_dir / "mlflow.db").rename(runs_dir / "moved away")
    (runs_dir / "mlflow.db").write_bytes(store_template.read_bytes())
    heal(runs_dir)


def test_an_installation_that_is_broken(runs_dir: Path, alone: dict[str, Any]) -> None:
    lines: list[str] = []

    def broken() -> Tracker:
        raise AttributeError("module 'numpy' has no attribute 'float'")

    with Live(broken, lines.append) as tracker:
        tiny.train((RUN,), runs_dir, tracker=tracker)
    check(runs_dir, alone, lines, "module 'numpy' has no attribute 'float'")
    heal(runs_dir)
