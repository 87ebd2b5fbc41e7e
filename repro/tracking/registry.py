"""Teachers as registered models: a version a key, loaded by ``mlflow.pytorch.load_model`` alone."""

import re
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import mlflow.pytorch
import numpy as np
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, Metric, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from repro import view
from repro.leases import Leases
from repro.portable import Inputs, inputs_of, logits_of
from repro.records import Record
from repro.tracking.checks import BROKEN
from repro.tracking.entries import ids_of
from repro.tracking.mirror import named_run
from repro.tracking.store import open_store, reason_of, told, tracking_uri

FLOAT = np.dtype(np.float32)


def register_teachers(
    records: Iterable[Record], runs_dir: Path, leases: Leases | None = None
) -> Iterator[str]:
    """Register the finished teachers that are not registered yet; a line for each new version.

    A version belongs to a run: that of a run that was made anew is made anew. One that is damaged
    is told, and stops no other. Raises UserError where MLflow cannot be reached.
    """
    leases, uri = leases or Leases(), tracking_uri(runs_dir)
    teachers = [record for record in records if is_teacher(record)]
    if not teachers:
        return
    with told(uri):
        client = open_store(runs_dir)
        for record in teachers:
            try:
                with leases.holding(record, "sync") as held:
                    run = named_run(client, held, uri) if held else None
                    made = _registered(client, record, run, uri) if run else None
            except BROKEN as error:
                yield f"no model of {record.key[:8]}: {reason_of(error)}"
                continue
            if made:
                yield f"model {made.name}, version {made.version}: teacher {record.key[:8]}"


def is_teacher(record: Record) -> bool:
    """A finished one that is in MLflow somewhere: quickly told of the thousands that are none."""
    try:
        if record.tags().get("method") != "teacher" or not ids_of(record):
            return False
        status = record.status()
    except BROKEN:  # a sync tells it
        return False
    return status is not None and status.state == "FINISHED" and record.weights.exists()


def model_name(tags: dict[str, str]) -> str:
    """``<dataset>-<profile>-<network>``, which MLflow and its addresses take."""
    parts = (view.experiment_name(tags), tags["student"])
    return re.sub(r"[^\w.-]+", "-", "-".join(parts))


def _registered(client: MlflowClient, record: Record, run: Run, uri: str) -> ModelVersion | None:
    """The new version; None where there is one."""
    name, found = model_name(record.tags()), None
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.tags.get("key") != record.key:
            continue
        mine = version.run_id == run.info.run_id and _loads(client, version)
        if found is None and mine:
            found = version
        else:
            client.delete_model_version(name, version.version)
    if found:
        return None
    _forget(client, run, record.key)
    model = _logged(client, record, run, name)
    return _version(client, record, model, name, uri)


def _loads(client: MlflowClient, version: ModelVersion) -> bool:
    """Are its files there?"""
    try:
        files = client.list_logged_model_artifacts(version.tags.get("model", ""))
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return False
        raise
    return any(file.path == "MLmodel" for file in files)


def _forget(client: MlflowClient, run: Run, key: str) -> None:
    """Remove models of the key that no version is of, as an interruption leaves them."""
    left = client.search_logged_models(
        [run.info.experiment_id], filter_string=f"tags.key = '{key}'"
    )
    for model in left:
        client.delete_logged_model(model.model_id)


def _logged(client: MlflowClient, record: Record, run: Run, name: str) -> LoggedModel:
    """The model beside the run that trained it, with the run's final metrics, which it shares."""
    tags, inputs = record.tags(), inputs_of(record.run())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model")
        save(record, path, inputs)
        model = client.create_logged_model(
            run.info.experiment_id,
            name,
            source_run_id=run.info.run_id,
            tags={"key": record.key} | {n: tags[n] for n in view.TAGS if tags.get(n)},
            params=preprocessing(inputs),
            model_type="teacher",
        )
        client.log_model_artifacts(model.model_id, str(path))
    ended, final = run.info.end_time, run.data.metrics
    metrics = [  # at the same time and step as the run has them: no second value
        Metric(n, value, ended, 0, model_id=model.model_id, run_id=run.info.run_id)
        for n, value in final.items()
        if n.startswith("final/")
    ]
    client.log_batch(run.info.run_id, metrics)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run.info.run_id, [LoggedModelOutput(model.model_id, 0)])
    return model


def save(record: Record, path: Path, inputs: Inputs) -> None:
    """As ``torch.export`` has it: no pickle, none of this code. An example of two images leaves the
    batch size open; with one it would be 1 for good."""
    size = (3, inputs.pixels, inputs.pixels)
    images = Schema([TensorSpec(FLOAT, (-1, *size), "images")])
    logits = Schema([TensorSpec(FLOAT, (-1, inputs.num_classes), "logits")])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pytorch.save_model(
            logits_of(record),
            path,
            signature=ModelSignature(images, logits),
            input_example=np.zeros((2, *size), FLOAT),
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],  # not looked for
            metadata=preprocessing(inputs) | {"key": record.key},
            serialization_format="pt2",
        )


def preprocessing(inputs: Inputs) -> dict[str, str]:
    """What is done to an image before the model sees it."""
    shape = f"[B, 3, {inputs.pixels}, {inputs.pixels}]"
    return {
        "image": f"float32 RGB {shape} in [0, 1], then (image - mean) / std",
        "mean": " ".join(f"{value:.6g}" for value in inputs.mean),
        "std": " ".join(f"{value:.6g}" for value in inputs.std),
    }


def _version(
    client: MlflowClient, record: Record, model: LoggedModel, name: str, uri: str
) -> ModelVersion:
    tags, inputs = record.tags(), inputs_of(record.run())
    words = f"{tags['student']} trained on {view.experiment_name(tags)}"
    try:
        client.create_registered_model(
            name, description=f"Teacher {words}. {described(name, inputs)}"
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    status = record.status()
    final = {n.removeprefix("final/"): f"{v:.2f}" for n, v in status.final} if status else {}
    top1 = {n: value for n, value in final.items() if n.startswith("top1")}
    local = uri.startswith("sqlite:")  # where MLflow would look for the model in its global store
    return client.create_model_version(
        name,
        model.artifact_location if local else f"models:/{model.model_id}",
        run_id=model.source_run_id,
        model_id=model.model_id,
        await_creation_for=0,  # it is there; MLflow would say that it waits
        tags={"key": record.key, "trial": tags["trial"], "model": model.model_id}
        | top1
        | preprocessing(inputs),
        description=f"Trial {tags['trial']}: top-1 {final.get('top1_last', '-')} % (last epoch).",
    )


def described(name: str, inputs: Inputs) -> str:
    """How to use a model, as Markdown."""
    words = preprocessing(inputs)
    return (
        f"It takes images, {words['image']} with mean {words['mean']} and std {words['std']}, and "
        f"gives {inputs.num_classes} logits each, at any batch size.\n\n"
        f"```python\nmodel = mlflow.pytorch.load_model('models:/{name}/1')\n"
        "logits = model((images - mean) / std)\n```"
    )
