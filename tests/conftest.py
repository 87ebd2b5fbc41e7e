import os
import shutil
import sqlite3
from pathlib import Path

import pytest
import torch

os.environ.setdefault("MPLBACKEND", "Agg")
os.environ.pop("MLFLOW_TRACKING_URI", None)  # tests never write to somebody's server


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Bitwise claims hold at a fixed number of threads; with two cores one is also the fastest."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def store_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new MLflow database: its migrations take seconds, so they are run once."""
    from repro.tracking import open_store

    directory = tmp_path_factory.mktemp("store")
    open_store(directory)
    with sqlite3.connect(directory / "mlflow.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return directory / "mlflow.db"


@pytest.fixture
def runs_dir(tmp_path: Path, store_template: Path) -> Path:
    """A runs directory with an empty MLflow database."""
    directory = tmp_path / "runs"
    directory.mkdir()
    shutil.copy(store_template, directory)
    return directory
