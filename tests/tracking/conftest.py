import shutil
from pathlib import Path

import pytest

from repro.records import Records
from repro.tracking import sync_records
from tests import tiny
from tests.tracking.mirror import COMMIT, KD, RUNS


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
