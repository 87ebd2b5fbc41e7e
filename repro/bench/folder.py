"""``repro bench imagenet``: how many images a second are decoded, and how many are asked for.

The loader alone (files to normalised batches on the device) beside a cohort's step alone (batches
that lie on the device); what is slower limits the training of both together.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from repro.data import imagenet
from repro.data.batches import epoch_views, parts
from repro.data.damaged import Damaged
from repro.data.dataset import Dataset, select
from repro.data.decoding import PREFETCHED, Decoder, FolderTraining, workers_of
from repro.data.folder import FolderImages
from repro.data.sizes import classes_of, side_of
from repro.environment import device_name
from repro.estimate import clock
from repro.grid import expand
from repro.models import build
from repro.outputs import Batch
from repro.plan import plan
from repro.profiles import Profile, profile_named
from repro.spec import Run
from repro.train.student import Student
from repro.train.teacher import LiveTeacher
from repro.train.weights import channels_last, initial

GRID = "imagenet"
WARM_UP_BATCHES = 2


@dataclass(frozen=True)
class Rate:
    """Images a second of the loader (``workers`` processes) or of a cohort's step."""

    what: str
    images_per_second: float
    workers: int | None = None


def bench(source: Path | None, data_dir: Path, device: torch.device, console: Console) -> None:
    """Measure and tell what limits the training. Raises UserError without a folder of images."""
    dataset = imagenet.use(source, data_dir) if source else imagenet.load(data_dir)
    profile = profile_named("auto", GRID, cuda=device.type == "cuda")
    seconds = 5.0 if device.type == "cuda" else 3.0
    console.print(imagenet.words(dataset), highlight=False, markup=False)
    loaders = [loader_rate(dataset, profile, device, n, seconds) for n in worker_counts(device)]
    need = step_rate(dataset, profile, device, seconds)
    table = Table("what", "workers", "images/s")
    for rate in (*loaders, need):
        workers = "" if rate.workers is None else str(rate.workers)
        table.add_row(rate.what, workers, f"{rate.images_per_second:,.0f}")
    console.print(table)
    for line in verdict(loaders, need, profile, device, len(dataset.train)):
        console.print(line, highlight=False, markup=False)


def worker_counts(device: torch.device) -> list[int]:
    """0, 1, 2, 4, ... up to the cores, and what the suite takes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    doubling = [2**i for i in range(cores.bit_length()) if 2**i <= cores]
    return sorted({0, *doubling, workers_of(device)})


def loader_rate(
    dataset: Dataset, profile: Profile, device: torch.device, workers: int, seconds: float
) -> Rate:
    """Of training images: read, decoded, cropped, copied and normalised."""
    train, evaluated = select(dataset, profile.stream)
    assert isinstance(train, FolderImages)
    assert isinstance(evaluated, FolderImages)
    pinned = device.type == "cuda"
    decoder = Decoder(
        train, evaluated, workers=workers, pinned=pinned, say=print, damaged=Damaged()
    )
    training = FolderTraining(train, decoder, device, (dataset.mean, dataset.std))
    views = epoch_views(profile.stream, 0, 0, len(train))
    one_epoch = list(parts(len(train), profile.stream.batch_size))
    batches = training.batches(views, cycle(one_epoch))
    ahead = workers * PREFETCHED  # decoded while the processes started: no rate of theirs
    return Rate("loader alone", rate_of(batches, seconds, device, ahead), workers)


def step_rate(dataset: Dataset, profile: Profile, device: torch.device, seconds: float) -> Rate:
    """Of the grid's first cohort of students: the teacher and each student on one batch."""
    runs = expand(GRID, profile)
    cohort = plan(runs, set(), {})[-1][0]
    students = [Student(run, initial(run, device)) for run in cohort.runs]
    teacher = untrained(runs[0], device)
    side, size = side_of(profile.stream), profile.stream.batch_size
    images = torch.randn(size, 3, side, side, device=device)
    labels = torch.arange(size, device=device) % min(len(dataset.class_names), size)
    batch = Batch(images.contiguous(memory_format=torch.channels_last), labels, labels, labels)
    for student in students:
        student.begin_epoch(0)

    def steps() -> Iterator[Batch]:
        while True:
            outputs = teacher(batch)
            for student in students:
                student.learn(batch, outputs)
            yield batch

    what = f"{cohort.label}: step of {len(students)} students"
    return Rate(what, rate_of(steps(), seconds, device))


def untrained(run: Run, device: torch.device) -> LiveTeacher:
    network = build(run.network, num_classes=classes_of(run.stream), seed=0)
    return LiveTeacher(channels_last(network.to(device)), run.precision)


def rate_of(
    batches: Iterator[Batch], seconds: float, device: torch.device, ahead: int = 0
) -> float:
    """Images a second over ``seconds``, after two batches and those that are ``ahead``."""
    for _ in range(WARM_UP_BATCHES + ahead):
        next(batches)
    images, began = 0, waited(device)
    while time.perf_counter() - began < seconds:
        with suppress(StopIteration):
            images += len(next(batches).labels)
    return images / (waited(device) - began)


def waited(device: torch.device) -> float:
    """Now, once the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def verdict(
    loaders: list[Rate], need: Rate, profile: Profile, device: torch.device, images: int
) -> Iterator[str]:
    """What limits the training, and how long an epoch of all images takes for it."""
    own = next(r for r in loaders if r.workers == workers_of(device))
    best = max(loaders, key=lambda rate: rate.images_per_second)
    decodes, trains = own.images_per_second, need.images_per_second
    less, more = sorted((decodes, trains))
    name = "decoding" if decodes < trains else "training"
    yield (
        f"bottleneck: {name}, {more / less:.1f} times slower than the other (profile "
        f"{profile.name}, {device_name(device)}); an epoch of {images:,} images takes "
        f"{clock(images / less)} or more"
    )
    if name == "decoding" and best.images_per_second > 1.1 * decodes:
        yield f"--workers {best.workers} decodes {best.images_per_second:,.0f} images/s"
