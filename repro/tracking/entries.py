"""A record's content in MLflow's words, and what every write to MLflow goes through."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from mlflow.entities import Dataset, DatasetInput, Metric

from repro import faults, spec, view
from repro.differences import Wanted
from repro.errors import LeaseLost, UserError
from repro.history import read_on
from repro.records import Record, Status, is_whole

ARTIFACTS = ("run.json", "environment.json", "history.jsonl", "weights.safetensors")
LOGITS = "test_logits.npz"
METRICS_A_BATCH = 1000  # MLflow takes no more in one log_batch


@contextmanager
def durable(record: Record, name: str) -> Iterator[None]:
    """One write to MLflow: not without the lease; a test can end the process after it."""
    if record.stage and not record.stage.exists():
        raise LeaseLost(f"{record.directory} was taken over by another process")
    yield
    faults.point(f"mlflow {name}")


def ids_of(record: Record) -> dict[str, str]:
    """Tracking address -> run id; what cannot be read is found again by the key."""
    try:
        ids = record.read_json("mlflow.json")
    except UserError:
        return {}
    return ids if isinstance(ids, dict) else {}


def artifacts_of(record: Record) -> dict[str, int]:
    """Bytes by name of what is there."""
    files = (record.directory / name for name in (*ARTIFACTS, LOGITS))
    return {file.name: file.stat().st_size for file in files if file.exists()}


def wanted_of(record: Record, status: Status) -> Wanted:
    """Raises UserError for a damaged record."""
    entries, _ = read_on(record)
    tags = record.tags()
    return Wanted(
        status=status,
        tags={n: tags[n] for n in view.TAGS if n in tags} | view.grouping(tags),
        top1={entry["epoch"]: entry["metrics"]["test/top1"] for entry in entries},
        artifacts=artifacts_of(record),
    )


def batches(entries: Sequence[dict[str, Any]]) -> Iterator[list[Metric]]:
    """The metrics of whole epochs, so that a crash halves none, as many as MLflow takes at once.

    The newest come first: the store sets its latest values once instead of once an epoch.
    """
    batch: list[Metric] = []
    for entry in entries:
        metrics = epoch_metrics(entry)
        if batch and len(batch) + len(metrics) > METRICS_A_BATCH:
            yield batch
            batch = []
        batch = metrics + batch
    if batch:
        yield batch


def epoch_metrics(entry: dict[str, Any]) -> list[Metric]:
    values = entry["metrics"] | {"time/epoch_seconds": entry["seconds"]}
    if not is_whole(entry["time_ms"]):
        raise ValueError("the time of an epoch is none")
    return [Metric(n, float(v), entry["time_ms"], entry["epoch"]) for n, v in values.items()]


def dataset_input(stream: spec.Stream, images: str) -> DatasetInput:
    """``images``: the fingerprint of the training images, of which MLflow takes 36 characters."""
    own = "a folder of images" if stream.images else "image-net.org"
    source = {"cifar100": "cs.toronto.edu/~kriz/cifar.html", "imagenet": own}.get(
        stream.dataset, "scikit-learn"
    )
    profile = str(spec.encode(stream))
    return DatasetInput(Dataset(stream.dataset, images[:36], "local", source, profile=profile))
