"""The processes that train one cohort together, as torchrun starts them: one a device.

Each takes its share of every batch and of the evaluated images; gradients are averaged by
DistributedDataParallel, BatchNorm sees the share alone. What is no tensor of the training (who
stops, which cohort is next) goes through a group of its own on the CPU, so that no device is
waited for.
"""

import gc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.distributed.nn  # imported with a group there, its functions would keep that for ever
from torch import Tensor

PATIENCE = timedelta(days=30)  # rank 0 may wait for what other launches train


class Share(NamedTuple):
    """A rank's part of a batch, and how many of the batch's images it stands for.

    ``scale``: of its mean loss, so that the mean over ranks is the mean over images.
    """

    part: slice
    images: float
    scale: float = 1.0

    @property
    def size(self) -> int:
        return self.part.stop - self.part.start


@dataclass(eq=False)
class Ranks:
    """``size`` processes, of which this one is number ``rank``. Rank 0 writes all there is.

    ``at_work``: all are at a thing that rank 0 has said, or one has left it and the others wait.
    """

    rank: int = 0
    size: int = 1
    control: Any = None  # the group for objects
    at_work: bool = False

    def share(self, part: slice) -> Share:
        """Of a batch of at least as many images as ranks an even part; of a smaller one (the last
        of an epoch) the whole, so that the average over ranks is that of one process."""
        count = part.stop - part.start
        if count < self.size or self.size == 1:
            return Share(part, count / self.size)
        first, end = (part.start + count * (self.rank + i) // self.size for i in (0, 1))
        return Share(slice(first, end), end - first, (end - first) * self.size / count)

    def rows(self, count: int) -> range:
        """Of ``count`` evaluated images this rank's: each belongs to one rank."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def said(self, what: Any = None) -> Any:
        """What rank 0 says, to all."""
        if self.size == 1:
            return what
        box = [what]
        dist.broadcast_object_list(box, src=0, group=self.control)
        return box[0]

    def all_said(self, what: Any) -> list[Any]:
        """What every rank says, to all, in their order."""
        if self.size == 1:
            return [what]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, what, group=self.control)
        return found

    @contextmanager
    def together(self, what: Any) -> Iterator[None]:
        """Rank 0 says to the others, who wait for it, what all are at from here on.

        An error leaves them at it, unless all agreed on it: this process has to end, then.
        """
        if self.size > 1:
            self.at_work = True
            if self.rank == 0:
                self.said(what)
        yield
        self.at_work = False

    def agreed(self, ask: Callable[..., None], *given: Any) -> None:
        """Rank 0 asks, and what it raises ends all ranks at the same place: elsewhere as Ended."""
        if self.size == 1:
            ask(*given)
            return
        reason = None
        if self.rank == 0:
            try:
                ask(*given)
            except Exception as error:
                reason = error
        if self.said(reason is not None):
            self.at_work = False
            raise reason or Ended("rank 0 has stopped")

    def part(self) -> None:
        """Each goes its own way. The groups' threads end here: while the interpreter ends, one of
        them may abort the process."""
        if self.size > 1:
            dist.destroy_process_group()
            self.control = None
            gc.collect()  # of what was distributed: its cycles hold groups

    def like_rank_0(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy rank 0's values, in place and in the order of names."""
        if self.size > 1:
            for _, tensor in sorted(tensors.items()):
                dist.broadcast(tensor.detach(), src=0)

    def summed(self, tensors: Mapping[str, Tensor]) -> None:
        """Over all ranks, in place."""
        if self.size > 1:
            for _, tensor in sorted(tensors.items()):
                dist.all_reduce(tensor)

    def gathered(self, mine: Tensor) -> Tensor:
        """All ranks' rows [n, ...] one after another; numbers of rows may differ."""
        if self.size == 1:
            return mine
        counts = [torch.zeros((), dtype=torch.int64, device=mine.device) for _ in range(self.size)]
        dist.all_gather(counts, torch.tensor(len(mine), device=mine.device))
        most = max(int(count) for count in counts)
        padded = mine.new_zeros(most, *mine.shape[1:])
        padded[: len(mine)] = mine
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return torch.cat([part[: int(count)] for part, count in zip(parts, counts, strict=True)])


class Ended(Exception):
    """Rank 0 has stopped the cohort, so this rank does."""


ALONE = Ranks()


def under_torchrun() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def local_size() -> int:
    """How many processes torchrun started on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


def local_rank() -> int:
    """Which of its machine's devices this process trains on."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def joined(device: torch.device) -> Ranks:
    """The processes that torchrun started with this one; ``ALONE`` without it."""
    if not under_torchrun():
        return ALONE
    if device.type == "cuda":
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    control = dist.new_group(backend="gloo", timeout=PATIENCE)
    return Ranks(dist.get_rank(), dist.get_world_size(), control)
