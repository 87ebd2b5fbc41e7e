"""A lane without recording: a replay calls the work again and fills the tensors it first gave."""

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from repro.train.graphs import Recording


class CallLane:
    def record(self, work: Callable[[], Any]) -> Recording:
        kept = work()
        return Recording(lambda: fill(kept, work()), kept)

    def replay(self, recording: Recording, *, after: Iterable[Any]) -> Any:  # noqa: ARG002
        recording.replay()

    def follow(self) -> None: ...

    def lead(self) -> None: ...


@torch.no_grad()
def fill(kept: Any, new: Any) -> None:
    """Copy the tensors of ``new`` into those in the same places of ``kept``."""
    if isinstance(kept, Tensor):
        kept.copy_(new)
    elif dataclasses.is_dataclass(kept):
        for field in dataclasses.fields(kept):
            fill(getattr(kept, field.name), getattr(new, field.name))
    elif isinstance(kept, tuple | list):
        for mine, other in zip(kept, new, strict=True):
            fill(mine, other)
