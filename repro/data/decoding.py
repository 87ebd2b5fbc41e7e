"""Batches of images that processes beside the training decode, the next one copied ahead."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from repro.data.augment import normalise
from repro.data.batches import Channels, Views
from repro.data.damaged import Damaged
from repro.data.folder import GONE, Decoded, FolderImages, gone
from repro.outputs import Batch
from repro.shelter import signals_wait, take_shelter

MOST_WORKERS = 16  # processes: beyond it a disk or the memory is the limit
PREFETCHED = 4  # batches a process decodes ahead

Part = Literal["train", "evaluated"]
Item = tuple[Part, int, int]  # position in its split, seed


class Loaded(NamedTuple):
    """``pixels`` [B, S, S, 3] uint8, ``indices`` [B] int64; ``broken``: (path, reason)."""

    pixels: Tensor
    indices: Tensor
    broken: tuple[tuple[str, str], ...]


class Items(Dataset[tuple[int, Decoded, str]]):
    """What a process decodes, by ``Item``."""

    def __init__(self, train: FolderImages, evaluated: FolderImages) -> None:
        self.images = {"train": train, "evaluated": evaluated}

    def __getitem__(self, item: Item) -> tuple[int, Decoded, str]:
        part, index, seed = item
        images = self.images[part]
        found = images.augmented(index, seed) if part == "train" else images.evaluated(index)
        return index, found, str(images.path(index)) if found.reason else ""


class Order(Sampler[list[Item]]):
    """The batches of the next pass; the processes live on from one to the next."""

    def __init__(self) -> None:
        self.batches: Iterable[list[Item]] = ()

    def __iter__(self) -> Iterator[list[Item]]:
        return iter(self.batches)


class Decoder:
    """Decodes both splits. ``workers`` processes, 0: in this one, when a batch is asked for.

    ``say`` is told of files that cannot be decoded: each by its name, once; ``damaged`` counts
    and, unless several processes agree on it, refuses too many. Raises UserError where a file is
    gone.
    """

    def __init__(
        self,
        train: FolderImages,
        evaluated: FolderImages,
        *,
        workers: int,
        pinned: bool,
        say: Callable[[str], None],
        damaged: Damaged,
    ) -> None:
        self.order, self.say, self.damaged = Order(), say, damaged
        self.images = len(train) + len(evaluated)
        more: dict[str, Any] = {}
        if workers:
            more = {"prefetch_factor": PREFETCHED, "persistent_workers": True}
            more["multiprocessing_context"] = "forkserver"  # threads here hold locks at a fork
            more["worker_init_fn"] = take_shelter
        self.loader: DataLoader[Any] = DataLoader(
            Items(train, evaluated),
            batch_sampler=self.order,
            num_workers=workers,
            collate_fn=collated,
            pin_memory=pinned,
            **more,
        )

    def __call__(self, batches: Iterable[list[Item]]) -> Iterator[Loaded]:
        self.order.batches = batches
        with signals_wait():  # the processes start, and the server that forks them
            loaded = iter(self.loader)
        for pixels, indices, broken in loaded:
            for path, reason in broken:
                self._tell(path, reason)
            yield Loaded(pixels, indices, broken)

    def _tell(self, path: str, reason: str) -> None:
        if reason == GONE:
            raise gone(path)
        line = self.damaged.add(path, reason)
        if not self.damaged.shared:
            self.damaged.check(self.images)
        if line:
            self.say(line)


def collated(items: Sequence[tuple[int, Decoded, str]]) -> tuple[Tensor, Tensor, tuple[Any, ...]]:
    broken = tuple((path, found.reason) for _, found, path in items if path)
    indices = torch.tensor([index for index, _, _ in items], dtype=torch.int64)
    return torch.stack([found.pixels for _, found, _ in items]), indices, broken


def workers_of(device: torch.device, side_by_side: int = 1) -> int:
    """How many processes decode by default: on a CPU the training needs the cores itself.

    ``side_by_side``: processes that train on this machine, each of which decodes.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    mine = max(1, (cores or 1) // side_by_side)
    return min(MOST_WORKERS, mine) if device.type == "cuda" else mine // 4


class FolderTraining:
    """A training set that is decoded a batch ahead. ``labels`` [N] int64 on ``device``."""

    def __init__(
        self, images: FolderImages, decoder: Decoder, device: torch.device, norm: Sequence[Channels]
    ) -> None:
        self.images, self.decoder, self.device = images, decoder, device
        self.labels = images.labels.to(device)
        self.mean, self.std = (torch.tensor(n, dtype=torch.float32, device=device) for n in norm)

    def batches(self, views: Views, parts: Iterable[slice]) -> Iterator[Batch]:
        """The images of each part of ``views``, whose numbers are the seeds of their crops."""
        order, seeds = views.order.tolist(), views.numbers.tolist()

        def items() -> Iterator[list[Item]]:
            for part in parts:
                pairs = zip(order[part], seeds[part], strict=True)
                yield [("train", index, seed) for index, seed in pairs]

        for pixels, indices in on_device(self.decoder(items()), self.device):
            yield self._batch(pixels, indices)

    def as_they_are(self, count: int) -> Batch:
        """``count`` images of all classes, evenly spread, as they are evaluated."""
        places = torch.arange(count) * len(self.images) // count
        return self._batch(self.images[places].pixels.to(self.device), places.to(self.device))

    def _batch(self, pixels: Tensor, indices: Tensor) -> Batch:
        images = normalise(pixels, self.mean, self.std)
        return Batch(images, self.labels[indices], indices, torch.zeros_like(indices))

    def evaluation(
        self, images: FolderImages, rows: range, batch_size: int
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The ``rows`` of the evaluated ``images``: (images [B, 3, S, S] float32, labels [B])."""
        starts = range(rows.start, rows.stop, batch_size)
        batches = (range(first, min(first + batch_size, rows.stop)) for first in starts)
        items: Iterator[list[Item]] = ([("evaluated", i, 0) for i in batch] for batch in batches)
        labels = images.labels.to(self.device)
        for pixels, indices in on_device(self.decoder(items), self.device):
            yield normalise(pixels, self.mean, self.std), labels[indices]


def on_device(loaded: Iterable[Loaded], device: torch.device) -> Iterator[tuple[Tensor, Tensor]]:
    """Pixels and indices; to a GPU the next batch is copied while this one is used."""
    if device.type != "cuda":
        yield from ((batch.pixels, batch.indices) for batch in loaded)
        return
    stream, ahead = torch.cuda.Stream(device), None
    for batch in loaded:
        with torch.cuda.stream(stream):
            new = tuple(t.to(device, non_blocking=True) for t in (batch.pixels, batch.indices))
        if ahead:
            yield ahead
        ahead = _arrived(new, stream)
    if ahead:
        yield ahead


def _arrived(tensors: tuple[Tensor, ...], stream: torch.cuda.Stream) -> tuple[Tensor, Tensor]:
    """What follows waits for the copy, and its memory is not given away before that is done."""
    event = stream.record_event()
    current = torch.cuda.current_stream(tensors[0].device)
    current.wait_event(event)
    for tensor in tensors:
        tensor.record_stream(current)
    pixels, indices = tensors
    return pixels, indices
