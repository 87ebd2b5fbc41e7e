"""A teacher as a registered model: other people's code loads it, and it says what ours says."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import mlflow.pytorch
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from repro.errors import UserError
from repro.portable import Inputs, logits_of
from repro.records import Record, Records
from repro.spec import key
from repro.tracking import load_results, registry, tracking_uri
from repro.tracking.registry import model_name, register_teachers
from tests import tiny
from tests.tracking.mirror import record_of, rows, stored, sync
from tests.tracking.server import Server
from tests.tracking.test_moved import moved

NAME = "digits-demo-resnet8"
SIZE = (3, *tiny.digits().test.pixels.shape[1:3])  # of an image


def teacher(records: Records) -> Record:
    return record_of(records, tiny.TEACHER)


def register(records: Records) -> list[str]:
    return list(register_teachers(records, records.runs_dir))


def versions(records: Records) -> list[ModelVersion]:
    client = MlflowClient(tracking_uri(records.runs_dir))
    return list(client.search_model_versions(f"name = '{NAME}'"))


def load(records: Records, version: str) -> torch.nn.Module:
    """As users do; an MLflow server of this process may have set another address before."""
    mlflow.set_tracking_uri(tracking_uri(records.runs_dir))
    try:
        module: torch.nn.Module = mlflow.pytorch.load_model(f"models:/{NAME}/{version}")
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # unset
    return module


def check(records: Records, version: str) -> None:
    ours, loaded = logits_of(teacher(records)), load(records, version)
    for batch in (1, 3, 64):
        images = torch.randn(batch, *SIZE, generator=torch.Generator().manual_seed(batch))
        found = loaded(images)
        assert (found.dtype, found.shape) == (torch.float32, (batch, 10))
        torch.testing.assert_close(found, ours(images))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models without a network, which take a hundredth of the time."""

    def save(_record: Record, path: Path, _inputs: Inputs) -> None:
        path.mkdir()
        (path / "MLmodel").write_text("flavors: {}")

    monkeypatch.setattr(registry, "save", save)


def test_a_loaded_model_says_what_ours_says_at_any_batch_size(synced: Records) -> None:
    before = rows(synced)
    assert register(synced) == [f"model {NAME}, version 1: teacher {key(tiny.TEACHER)[:8]}"]
    check(synced, "1")
    assert rows(synced) == before  # its metrics are those of the run, which has none twice
    assert sync(synced) == ["right"] * 3
    assert len(load_results(synced.runs_dir)) == 3


def test_the_version_tells_where_it_is_from_and_what_it_takes(synced: Records) -> None:
    register(synced)
    (version,) = versions(synced)
    run = stored(synced, tiny.TEACHER)
    assert version.run_id == run.info.run_id
    assert version.tags["key"] == key(tiny.TEACHER)
    assert version.tags["top1_last"] == f"{run.data.metrics['final/top1_last']:.2f}"
    dataset = tiny.digits()
    for name, values in (("mean", dataset.mean), ("std", dataset.std)):
        told = [float(word) for word in version.tags[name].split()]
        assert told == pytest.approx(values, rel=1e-5)
    client = MlflowClient(tracking_uri(synced.runs_dir))
    model = client.get_logged_model(version.tags["model"])
    metrics = {metric.key: metric.value for metric in model.metrics or ()}
    final = {n: v for n, v in run.data.metrics.items() if n.startswith("final/")}
    assert metrics == final
    assert version.tags["mean"] in client.get_registered_model(NAME).description


@pytest.mark.usefixtures("quick")
def test_a_key_is_registered_once(synced: Records) -> None:
    register(synced)
    assert register(synced) == []
    assert len(versions(synced)) == 1


def test_only_finished_teachers_that_mlflow_knows_are_registered(records: Records) -> None:
    assert register(records) == []
    assert versions(records) == []


@pytest.mark.usefixtures("quick")
def test_a_run_that_was_made_anew_has_another_version(synced: Records) -> None:
    register(synced)
    client = MlflowClient(tracking_uri(synced.runs_dir))
    client.delete_run(stored(synced, tiny.TEACHER).info.run_id)
    assert register(synced) == []  # the sync comes first
    sync(synced)
    assert len(register(synced)) == 1
    (version,) = versions(synced)
    assert version.run_id == stored(synced, tiny.TEACHER).info.run_id


@pytest.mark.usefixtures("quick")
def test_a_model_whose_files_are_lost_is_registered_again(synced: Records) -> None:
    register(synced)
    for path in (synced.runs_dir / "artifacts").rglob("MLmodel"):
        path.unlink()
    assert len(register(synced)) == 1
    assert len(versions(synced)) == 1
    assert register(synced) == []


def test_a_moved_directory_has_its_models(synced: Records, tmp_path: Path) -> None:
    register(synced)
    there = moved(synced, tmp_path / "elsewhere")
    shutil.rmtree(synced.runs_dir)
    sync(there)
    assert register(there) == []
    check(there, "1")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "call",
    [
        "create_logged_model",
        "log_model_artifacts",
        "log_batch",
        "finalize_logged_model",
        "log_outputs",
        "create_registered_model",
        "create_model_version",
    ],
)
def test_what_fails_in_the_middle_is_healed_by_the_next(
    synced: Records, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def failing(*_: Any, **__: Any) -> None:
        raise MlflowException("gone")

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, failing)
        with pytest.raises(UserError, match="nothing is lost"):
            register(synced)
    assert len(register(synced)) == 1
    assert len(versions(synced)) == 1
    client = MlflowClient(tracking_uri(synced.runs_dir))
    experiment = client.get_experiment_by_name("digits demo").experiment_id
    assert len(client.search_logged_models([experiment])) == 1
    assert sync(synced) == ["right"] * 3


def test_a_damaged_teacher_is_told_and_stops_nothing(synced: Records) -> None:
    teacher(synced).weights.write_bytes(b"damaged")
    (line,) = register(synced)
    assert line.startswith(f"no model of {key(tiny.TEACHER)[:8]}: ")
    assert "cannot be read as weights" in line
    assert versions(synced) == []


LOAD = """
import sys, mlflow.pytorch, numpy, torch
images, logits, name = sys.argv[1:]
model = mlflow.pytorch.load_model(name)
numpy.save(logits, model(torch.from_numpy(numpy.load(images))).numpy())
assert not [name for name in sys.modules if name.startswith("repro")]
"""


def test_a_model_through_a_server_by_a_process_without_this_suite(
    records: Records, server: Server, tmp_path: Path
) -> None:
    sync(records)
    assert len(register(records)) == 1
    assert register(records) == []
    images, logits = tmp_path / "images.npy", tmp_path / "logits.npy"
    given = np.random.default_rng(0).normal(size=(3, *SIZE)).astype(np.float32)
    np.save(images, given)
    (version,) = versions(records)
    words = [str(images), str(logits), f"models:/{NAME}/{version.version}"]
    subprocess.run(
        [sys.executable, "-c", LOAD, *words],
        check=True,
        cwd=tmp_path,
        env=os.environ | {"MLFLOW_TRACKING_URI": server.uri},
    )
    ours = logits_of(teacher(records))(torch.from_numpy(given))
    np.testing.assert_allclose(np.load(logits), ours.numpy(), rtol=1e-5, atol=1e-5)


def test_names_are_those_that_mlflow_takes() -> None:
    tags = {"dataset": "digits", "profile": "demo", "student": "resnet8"}
    assert model_name(tags) == NAME
    assert model_name(tags | {"split": "tune"}) == "digits-demo-held-out-resnet8"
    assert model_name(tags | {"profile": "a:b/../c"}) == "digits-a-b-..-c-resnet8"
