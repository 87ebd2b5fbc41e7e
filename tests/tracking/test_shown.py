"""What MLflow shows of a finished run."""

import json
from pathlib import Path

import numpy as np
import safetensors.torch
from mlflow import MlflowClient

from repro import view
from repro.records import Records
from repro.spec import key
from repro.tracking import tracking_uri
from repro.view import experiment_name
from tests import tiny
from tests.tracking.mirror import COMMIT, KD, RUNS, record_of, stored


def test_tags_name_the_run(mirrored: Records) -> None:
    tags = stored(mirrored).data.tags
    assert {name: tags[name] for name in view.TAGS} == {
        "key": key(KD),
        "dataset": "digits",
        "profile": "demo",
        "grid": "demo",
        "pair": "resnet8:resnet8",
        "teacher": "resnet8",
        "student": "resnet8",
        "method": "kd",
        "trial": "1",
    }
    assert tags["complete"] == "true"
    assert tags["torch"] == record_of(mirrored).read_json("environment.json")["torch"]
    assert tags["mlflow.runName"] == "resnet8:resnet8 kd 1"


def test_the_commit_is_a_tag_where_it_is_known(mirrored: Records) -> None:
    assert stored(mirrored).data.tags["mlflow.source.git.commit"] == COMMIT
    assert "mlflow.source.git.commit" not in stored(mirrored, tiny.TEACHER).data.tags


def test_params_are_the_resolved_run(mirrored: Records) -> None:
    params = stored(mirrored).data.params
    expected = {
        "network": "resnet8",
        "trial": "1",
        "precision": "fp32",
        "loss.type": "KD",
        "loss.temperature": "4.0",
        "loss.kd_weight": "0.9",
        "stream.train_per_class": "7",
        "optim.milestones": "[2]",
        "teacher.loss.type": "CE",
        "teacher.network": "resnet8",
    }
    assert expected.items() <= params.items()
    assert stored(mirrored, tiny.TEACHER).data.params["teacher"] == "None"


def test_every_metric_has_one_value_a_step_from_0(mirrored: Records) -> None:
    run = stored(mirrored, RUNS[2])
    client = MlflowClient(tracking_uri(mirrored.runs_dir))
    history = record_of(mirrored, RUNS[2]).history()
    names = {name for name in run.data.metrics if not name.startswith("final/")}
    assert names == {*history[0]["metrics"], "time/epoch_seconds"}
    for name in history[0]["metrics"]:
        logged = client.get_metric_history(run.info.run_id, name)
        found = sorted((m.step, m.value, m.timestamp) for m in logged)
        assert found == [(e["epoch"], e["metrics"][name], e["time_ms"]) for e in history]


def test_final_metrics_are_metrics_of_their_own(mirrored: Records) -> None:
    metrics = stored(mirrored).data.metrics
    status = record_of(mirrored).status()
    assert status is not None
    final = {name: value for name, value in metrics.items() if name.startswith("final/")}
    assert final == dict(status.final)
    assert {"final/top1_last", "final/top1_best", "final/top1_last10"} <= final.keys()


def test_times_are_those_of_the_training(mirrored: Records) -> None:
    info, status = stored(mirrored).info, record_of(mirrored).status()
    assert status is not None
    assert (info.status, info.start_time, info.end_time) == (
        "FINISHED",
        status.started_ms,
        status.ended_ms,
    )


def test_artifacts_can_be_loaded(mirrored: Records, tmp_path: Path) -> None:
    client = MlflowClient(tracking_uri(mirrored.runs_dir))
    run_id = stored(mirrored).info.run_id
    record = record_of(mirrored)
    assert {file.path for file in client.list_artifacts(run_id)} == {
        "run.json",
        "environment.json",
        "history.jsonl",
        "weights.safetensors",
        "test_logits.npz",
    }
    folder = Path(client.download_artifacts(run_id, "", str(tmp_path)))
    assert tiny.same(
        safetensors.torch.load_file(folder / "weights.safetensors"),
        safetensors.torch.load_file(record.weights),
    )
    assert np.load(folder / "test_logits.npz")["logits"].shape == (30, 10)
    assert json.loads((folder / "run.json").read_text())["key"] == key(KD)


def test_the_data_set_is_an_input(mirrored: Records) -> None:
    (given,) = stored(mirrored).inputs.dataset_inputs
    assert given.dataset.name == "digits"
    assert "train_per_class" in given.dataset.profile
    (same,) = stored(mirrored, tiny.TEACHER).inputs.dataset_inputs
    assert same.dataset.digest == given.dataset.digest


def test_runs_are_in_the_experiment_of_their_data_set_and_profile(mirrored: Records) -> None:
    client = MlflowClient(tracking_uri(mirrored.runs_dir))
    experiment = client.get_experiment(stored(mirrored).info.experiment_id)
    assert experiment.name == "digits demo"
    assert experiment.artifact_location.endswith("/runs/artifacts/digits-demo")
    tags = {"dataset": "cifar100", "profile": "paper"}
    assert experiment_name(tags) == "cifar100 paper"
    assert experiment_name(tags | {"split": "tune"}) == "cifar100 paper held-out"
