import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service import utils

from repro import live
from repro.records import Records
from repro.tracking import load_results, sync_records
from tests import tiny
from tests.tracking import down
from tests.tracking.mirror import COMMIT, KD, RUNS, sync
from tests.tracking.server import Server, serving


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Finished records of which MLflow knows nothing; one with a known commit, one without."""
    directory = tmp_path_factory.mktemp("trained")
    tiny.train(RUNS, directory)
    for run, commit in ((KD, COMMIT), (tiny.TEACHER, "")):
        record = tiny.record(run, directory)
        environment = record.read_json("environment.json")
        record.write_json("environment.json", environment | {"git_commit": commit})
    return directory


@pytest.fixture
def records(trained: Path, runs_dir: Path) -> Records:
    """A copy of ``trained`` beside an empty database."""
    shutil.copytree(trained / "records", runs_dir / "records")
    return Records(runs_dir)


@pytest.fixture(scope="package")
def mirrored(
    trained: Path, store_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Records:
    """All finished runs in MLflow. Read only."""
    directory = tmp_path_factory.mktemp("mirrored") / "runs"
    shutil.copytree(trained, directory)
    shutil.copy(store_template, directory)
    for _ in sync_records(Records(directory), directory):
        pass
    return Records(directory)


@pytest.fixture(scope="package")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of training ``down.RUN`` without MLflow."""
    directory = tmp_path_factory.mktemp("alone")
    tiny.train((down.RUN,), directory)
    return tiny.results((down.RUN,), directory)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow is brought up to date a hundred times a second."""
    monkeypatch.setattr(live, "PERIOD_SECONDS", 0.01)


@pytest.fixture
def synced(mirrored: Records, tmp_path: Path) -> Records:
    """Finished runs of which MLflow knows everything, in a directory of their own."""
    directory = tmp_path / "runs"
    shutil.copytree(mirrored.runs_dir, directory)
    utils._artifact_repos_cache.clear()  # by run id: as in another process
    records = Records(directory)
    assert sync(records) == ["right"] * 3
    return records


@pytest.fixture(scope="module")
def one_server(store_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    (folder / "mlflow.db").write_bytes(store_template.read_bytes())
    with serving(folder / "mlflow.db", folder / "artifacts") as server:
        yield server


@pytest.fixture
def server(one_server: Server, runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The one that MLFLOW_TRACKING_URI names; well-behaved, and without runs of other tests."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", one_server.uri)
    one_server.status, one_server.seconds = "", 0.0
    one_server.before = lambda _number: None
    results = load_results(runs_dir)
    for run_id in results["run_id"]:
        MlflowClient(one_server.uri).delete_run(run_id)
    one_server.asked = 0
    return one_server
