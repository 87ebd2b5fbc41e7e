"""``repro import-teacher``: a network that was trained elsewhere becomes a finished run.

Its key is the hash of its weights, so the same weights are imported once, whatever file holds them.
"""

import hashlib
import io
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from repro.analysis.published import load_published, published_for
from repro.data import imagenet
from repro.data.batches import Channels, evaluation_batches
from repro.data.damaged import Damaged
from repro.data.dataset import select
from repro.data.decoding import Decoder, FolderTraining, workers_of
from repro.data.folder import FolderImages
from repro.data.sizes import NUM_CLASSES
from repro.data.torchvision_cure import import_torchvision
from repro.entries import run_tags
from repro.environment import ROOT, describe, prepare
from repro.errors import UserError, choose
from repro.files import make_directory
from repro.launch import load_datasets
from repro.leases import Leases
from repro.losses import CE
from repro.paper import TORCHVISION_TOP1
from repro.plan import Cohort
from repro.profiles import IMAGENET_PROFILES, PROFILES
from repro.records import Record, Records, Status, now_ms
from repro.request import Request, find_device
from repro.runtime import FOLDER_BATCH
from repro.spec import Run, key
from repro.train.evaluate import predict, scores
from repro.train.foreign import Foreign, dataset_of, fitted, read_foreign
from repro.train.weights import restored, weights_key

GRID = "imported"
TORCHVISION = "torchvision"  # in the place of a file: its first weights, downloaded
WHERE = {"cifar100": "CIFAR-100's test split", "imagenet": "ImageNet's validation images"}
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
    device, dataset = find_device(request.device), dataset_of(network)
    tags = {"profile": _profile(request.profile, dataset), "grid": GRID}
    if str(path) == TORCHVISION:
        path = downloaded(network, request.data_dir)
    foreign = read_foreign(path)
    weights = fitted(foreign, network)
    run = imported_run(network, weights_key(network, weights))
    records, start = Records(request.runs_dir), key(run)[:12]
    if records.state(key(run)) == "FINISHED":
        say(f"{path.name} is here already as {network} {start}: nothing changes")
        return run
    say(f"measuring {network} on {WHERE[dataset]}")  # a ResNet50 takes a CPU minutes
    measured = measure(run, weights, request, say)
    expected = expectation(foreign, network, expect)
    say(f"{network}: {verdict(foreign, measured.top1, expected, dataset)}")
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


def grid_of(network: str) -> str:
    """The grid whose images a network is measured on: it says where the environment has them."""
    return "imagenet" if dataset_of(network) == "imagenet" else GRID


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


def _profile(name: str, dataset: str) -> str:
    known = IMAGENET_PROFILES if dataset == "imagenet" else PROFILES
    if name not in PROFILES:
        raise choose("profile", name, known)
    if name not in known or known[name].stream.dataset != dataset:
        raise UserError(f"a teacher is imported for {dataset}: give --profile paper or quick")
    return name


def downloaded(network: str, data_dir: Path) -> Path:
    """torchvision's first weights of a network, checked by the hash in their name.

    Raises UserError for a network that it has none of, and where they cannot be had.
    """
    if network not in TORCHVISION_TOP1:
        raise choose("network of torchvision", network, TORCHVISION_TOP1)
    import_torchvision()
    from torchvision.models import get_model_weights

    url = get_model_weights(network)["IMAGENET1K_V1"].url
    folder = make_directory(data_dir / TORCHVISION)
    try:
        torch.hub.load_state_dict_from_url(url, str(folder), check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise UserError(
            f"{url} cannot be had ({str(error).splitlines()[0]}); download it elsewhere and give "
            "the file in the place of torchvision"
        ) from error
    return folder / url.rpartition("/")[2]


def imported_run(network: str, weights: str) -> Run:
    """Stream and optimiser are the benchmark's: how it was trained is not known here."""
    paper = (IMAGENET_PROFILES if dataset_of(network) == "imagenet" else PROFILES)["paper"]
    return Run(
        network=network,
        loss=CE(),
        stream=paper.stream,
        optim=paper.optim(network),
        method="teacher",
        weights=weights,
    )


def measure(
    run: Run, weights: Mapping[str, Tensor], request: Request, say: Callable[[str], None]
) -> Measured:
    """On the whole test split, as students are evaluated, with the weights as they are stored.

    Raises UserError where there are other classes than the network has.
    """
    known = run.stream.dataset
    if known == "imagenet" and request.source:
        imagenet.use(request.source, request.data_dir)
    dataset = load_datasets(request, [Cohort((run,))])[known]
    if len(dataset.class_names) != NUM_CLASSES[known]:
        raise UserError(
            f"{run.network} answers {NUM_CLASSES[known]:,} classes, the folder of images has "
            f"{len(dataset.class_names):,}: train teachers on it, without --imported"
        )
    device = find_device(request.device)
    prepare(device)
    images, norm = select(dataset, run.stream)[1], (dataset.mean, dataset.std)
    batches = (
        decoded_batches(images, norm, device, say)
        if isinstance(images, FolderImages)
        else evaluation_batches(images, *norm, device)
    )
    logits, labels = predict(restored(run, weights, device), batches)
    found = scores(logits, labels)
    return Measured(logits, found["test/loss"].item(), found["test/top1"].item())


def decoded_batches(
    images: FolderImages,
    norm: tuple[Channels, Channels],
    device: torch.device,
    say: Callable[[str], None],
) -> Iterator[tuple[Tensor, Tensor]]:
    """As ``evaluation_batches``; files that cannot be decoded are told as in training."""
    damaged, none = Damaged(), images[:0]
    decoder = Decoder(
        none,
        images,
        workers=workers_of(device),
        pinned=device.type == "cuda",
        say=say,
        damaged=damaged,
    )
    training = FolderTraining(none, decoder, device, norm)
    yield from training.evaluation(images, range(len(images)), FOLDER_BATCH)
    if told := damaged.summary():
        say(told)


def expectation(foreign: Foreign, network: str, expect: float | None) -> Expected:
    """What the caller says, else the checkpoint, else who published the network trained alone."""
    if expect is not None:
        return Expected(expect, "--expect")
    if foreign.claimed is not None:
        return Expected(foreign.claimed, "says the checkpoint")
    if network in TORCHVISION_TOP1:
        return Expected(TORCHVISION_TOP1[network].value, TORCHVISION_TOP1[network].source)
    published = load_published(ROOT / "paper_tables" / "published.csv")
    for method in ("teacher", "ce"):
        rows = published_for(published, network, method, dataset=dataset_of(network))
        last = rows[rows["epoch_reported"] == "last"]
        if len(last):
            return Expected(float(last["top1"].iloc[0]), f"published by {last['source'].iloc[0]}")
    return Expected(math.nan, "nobody")


def verdict(foreign: Foreign, top1: float, expected: Expected, dataset: str = "cifar100") -> str:
    """In words. Raises UserError with both numbers where they are too far from each other."""
    found = f"top-1 {top1:.2f} on {WHERE[dataset]}"
    if math.isnan(expected.top1):
        least = ABOVE_CHANCE * 100 / NUM_CLASSES[dataset]
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
