"""``repro import-teacher``: a network that was trained elsewhere becomes a finished run.

Its key is the hash of its weights, so the same weights are imported once, whatever file holds them.
"""

import hashlib
import io
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from repro.analysis.published import load_published, published_for
from repro.data.batches import evaluation_batches
from repro.data.dataset import select
from repro.data.sizes import NUM_CLASSES
from repro.entries import run_tags
from repro.environment import ROOT, describe, prepare
from repro.errors import UserError
from repro.launch import load_datasets
from repro.leases import Leases
from repro.losses import CE
from repro.plan import Cohort
from repro.profiles import PROFILES, profile_named
from repro.records import Record, Records, Status, now_ms
from repro.request import Request, find_device
from repro.spec import Run, key
from repro.train.evaluate import predict, scores
from repro.train.foreign import Foreign, fitted, read_foreign
from repro.train.weights import restored, weights_key

GRID = "imported"
DATASET = "cifar100"
TOLERANCE = 0.5  # points: rounding and other hardware move a few of the 10,000 images
ABOVE_CHANCE = 5  # times chance, where nobody says what to expect


class Expected(NamedTuple):
    """A top-1 in percent, NaN where nothing is known, and who says so."""

    top1: float
    source: str


class Measured(NamedTuple):
    """What the stored weights do on the test split: logits [N, 100], loss, top-1 in percent."""

    logits: Tensor
    loss: float
    top1: float


def import_teacher(
    path: Path, network: str, *, request: Request, expect: float | None, say: Callable[[str], None]
) -> Run:
    """Check a checkpoint by shape and accuracy and keep it, in the profile and runs directory of
    ``request``. ``expect``: its top-1 in percent, where the caller knows it.

    Raises UserError, with nothing written, where it is not such a network or not so accurate.
    """
    if expect is not None and not 0 <= expect <= 100:
        raise UserError(f"--expect is a top-1 in percent, 0 to 100, not {expect:g}")
    device = find_device(request.device)
    tags = {"profile": _profile(request.profile, device), "grid": GRID}
    foreign = read_foreign(path)
    weights = fitted(foreign, network)
    run = imported_run(network, weights_key(network, weights))
    records, start = Records(request.runs_dir), key(run)[:12]
    if records.state(key(run)) == "FINISHED":
        say(f"{path.name} is here already as {network} {start}: nothing changes")
        return run
    say(f"measuring {network} on CIFAR-100's test split")  # a ResNet50 takes a CPU minutes
    measured = measure(run, weights, request, device)
    expected = expectation(foreign, network, expect)
    say(f"{network}: {verdict(foreign, measured.top1, expected)}")
    with Leases().holding(records.own(key(run)), "training") as record:
        if record is None:
            raise UserError(f"another process imports {network} {start} at this moment")
        record.create(run, run_tags(run) | tags)
        record.write_json("environment.json", describe(device) | origin(path, expected))
        _finish(record, weights, measured)
    if foreign.left_out:
        say(f"left out: {foreign.left_out} tensors that are not the student's")
    say(f"kept as {start}: `repro run GRID --imported {start}`")
    return run


def origin(path: Path, expected: Expected) -> dict[str, object]:
    """What the environment of an imported run says of where it is from."""
    return {
        "source_file": path.name,
        "source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "expected_top1": None if math.isnan(expected.top1) else expected.top1,
        "expected_source": expected.source,
        "training_images": "unknown",
        "teacher_outputs": "none",
    }


def _profile(name: str, device: torch.device) -> str:
    profile = profile_named(name, GRID, cuda=device.type == "cuda")
    if profile.stream.dataset != DATASET:
        raise UserError(f"a teacher is imported for {DATASET}: give --profile paper or quick")
    return profile.name


def imported_run(network: str, weights: str) -> Run:
    """Stream and optimiser are the benchmark's: how it was trained is not known here."""
    paper = PROFILES["paper"]
    return Run(
        network=network,
        loss=CE(),
        stream=paper.stream,
        optim=paper.optim(network),
        method="teacher",
        weights=weights,
    )


def measure(
    run: Run, weights: Mapping[str, Tensor], request: Request, device: torch.device
) -> Measured:
    """On the whole test split, as students are evaluated, with the weights as they are stored."""
    dataset = load_datasets(request, [Cohort((run,))])[DATASET]
    prepare(device)
    images = select(dataset, run.stream)[1]
    batches = evaluation_batches(images, dataset.mean, dataset.std, device)
    logits, labels = predict(restored(run, weights, device), batches)
    found = scores(logits, labels)
    return Measured(logits, found["test/loss"].item(), found["test/top1"].item())


def expectation(foreign: Foreign, network: str, expect: float | None) -> Expected:
    """What the caller says, else the checkpoint, else who published the network trained alone."""
    if expect is not None:
        return Expected(expect, "--expect")
    if foreign.claimed is not None:
        return Expected(foreign.claimed, "says the checkpoint")
    published = load_published(ROOT / "paper_tables" / "published.csv")
    for method in ("teacher", "ce"):
        rows = published_for(published, network, method, dataset=DATASET)
        last = rows[rows["epoch_reported"] == "last"]
        if len(last):
            return Expected(float(last["top1"].iloc[0]), f"published by {last['source'].iloc[0]}")
    return Expected(math.nan, "nobody")


def verdict(foreign: Foreign, top1: float, expected: Expected) -> str:
    """In words. Raises UserError with both numbers where they are too far from each other."""
    found = f"top-1 {top1:.2f} on CIFAR-100's test split"
    if math.isnan(expected.top1):
        least = ABOVE_CHANCE * 100 / NUM_CLASSES[DATASET]
        if top1 > least:
            return f"{found}; nothing is known to compare it with, above {least:g} it is accepted"
        raise UserError(f"{foreign.name}: {found}, which is chance or near it (up to {least:g})")
    if abs(top1 - expected.top1) <= TOLERANCE:
        return f"{found}, expected {expected.top1:.2f} ({expected.source})"
    raise UserError(
        f"{foreign.name}: {found}, but expected {expected.top1:.2f} ({expected.source}), within "
        f"{TOLERANCE}; if it is right as measured, give --expect {top1:.2f}"
    )


def _finish(record: Record, weights: Mapping[str, Tensor], measured: Measured) -> None:
    """As a training ends: weights and test logits, and only then FINISHED."""
    record.write(record.weights.name, safetensors.torch.save(dict(weights)))
    buffer = io.BytesIO()
    np.savez(buffer, logits=measured.logits.half().cpu().numpy())
    record.write(record.test_logits.name, buffer.getvalue())
    top1 = tuple((f"final/top1_{which}", measured.top1) for which in ("last", "best", "last10"))
    final = (*top1, ("final/test_loss_last", measured.loss))
    now = now_ms()
    record.write_status(Status("FINISHED", started_ms=now, ended_ms=now, final=final))
