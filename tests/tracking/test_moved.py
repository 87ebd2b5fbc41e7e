"""A runs directory that was moved or copied shows the same runs with their artifacts."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service import utils

from repro.records import Records
from repro.tracking import check_records, tracking_uri
from tests.tracking.mirror import stored, sync


def words(records: Records) -> list[str]:
    return [said for _, said in check_records(records, records.runs_dir)]


def moved(synced: Records, where: Path) -> Records:
    """The whole directory under another name, its database with the old addresses."""
    with closing(sqlite3.connect(synced.runs_dir / "mlflow.db")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copytree(synced.runs_dir, where)
    utils._artifact_repos_cache.clear()
    return Records(where)


@pytest.mark.parametrize("files", ["moved along", "lost"])
def test_a_moved_directory_has_its_artifacts(synced: Records, tmp_path: Path, files: str) -> None:
    there = moved(synced, tmp_path / "elsewhere" / "my runs")
    if files == "lost":
        shutil.rmtree(there.runs_dir / "artifacts")
    shutil.rmtree(synced.runs_dir / "artifacts")
    old = stored(there).info
    assert all("its artifacts are looked for in file:///" in said for said in words(there))
    assert sync(there) == (["right"] if files == "moved along" else ["written"]) * 3
    run = stored(there)
    assert run.info.run_id == old.run_id
    place = there.runs_dir / "artifacts" / "digits-demo" / old.run_id / "artifacts"
    assert run.info.artifact_uri == place.as_uri()
    client = MlflowClient(tracking_uri(there.runs_dir))
    assert len(client.list_artifacts(old.run_id)) == 5
    assert client.get_experiment_by_name("digits demo").artifact_location.endswith(
        "/elsewhere/my%20runs/artifacts/digits-demo"
    )
    assert words(there) == []
    assert not (synced.runs_dir / "artifacts").exists()


def test_a_database_that_is_not_the_directorys_own_keeps_its_addresses(
    synced: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = moved(synced, tmp_path / "elsewhere")
    before = stored(synced).info.artifact_uri
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri(synced.runs_dir))
    assert sync(there) == ["right"] * 3
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert stored(synced).info.artifact_uri == before
