"""The store: made, named, damaged, unreachable."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from repro.errors import UserError
from repro.live import Resilient
from repro.records import Record, Records
from repro.tracking import open_store, store, tracking_uri
from tests.tracking.mirror import record_of


def test_the_store_is_in_wal_mode(store_template: Path) -> None:
    with sqlite3.connect(store_template) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_two_processes_can_open_a_new_store_at_once(tmp_path: Path) -> None:
    command = (
        "from pathlib import Path; from repro.tracking import load_results; "
        f"print(len(load_results(Path({str(tmp_path)!r}))))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [out for out, _ in outputs] == [b"0\n", b"0\n"], outputs
    assert [err for _, err in outputs] == [b"", b""]


def test_a_server_is_used_where_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tracking_uri(tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    assert tracking_uri(tmp_path) == "http://127.0.0.1:1"
    open_store(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_database_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match=r"cannot be opened.*move it away.*repro sync") as error:
        open_store(tmp_path)
    assert "\n" not in str(error.value)


class Unreachable:
    """A mirror whose server has gone."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def update(self, record: Record) -> bool:  # noqa: ARG002
        raise self.errors.pop(0)


def test_a_failing_store_does_not_stop_training_and_is_told_once(trained: Path) -> None:
    lines: list[str] = []
    errors = (MlflowException("gone\nmore"), SQLAlchemyError("locked"), OSError("no route"))
    tracker = Resilient(lambda: Unreachable(*errors), lines.append)
    for _ in errors:
        tracker.update(record_of(Records(trained)))
    assert lines == ["MLflow: gone; training goes on, `repro sync` adds what is missing"]


def test_an_error_without_words_is_told_by_its_name(trained: Path) -> None:
    lines: list[str] = []
    tracker = Resilient(lambda: Unreachable(TimeoutError()), lines.append)
    assert not tracker.update(record_of(Records(trained)))
    assert lines == ["MLflow: TimeoutError; training goes on, `repro sync` adds what is missing"]


def test_what_is_no_fault_of_the_store_is_not_hidden(trained: Path) -> None:
    tracker = Resilient(lambda: Unreachable(UserError("damaged")), print)
    with pytest.raises(UserError, match="damaged"):
        tracker.update(record_of(Records(trained)))


def test_a_database_appears_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed within MLflow's migrations leaves what MLflow cannot open."""
    whole = store.MlflowClient

    def killed(uri: str) -> MlflowClient:
        connection = sqlite3.connect(uri.removeprefix("sqlite:///"))
        connection.execute("CREATE TABLE experiments (half INTEGER)")
        connection.commit()
        connection.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "MlflowClient", killed)
    with pytest.raises(KeyboardInterrupt):
        open_store(tmp_path)
    assert not (tmp_path / "mlflow.db").exists()
    monkeypatch.setattr(store, "MlflowClient", whole)
    assert open_store(tmp_path).search_experiments()
    assert {path.name.partition("-")[0] for path in tmp_path.iterdir()} == {"mlflow.db"}
