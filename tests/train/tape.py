"""A stand-in for CUDA graphs on the CPU: work is recorded operation by operation and replayed.

As on CUDA, a replay repeats the operations with the numbers of the recording and writes each result
to where it lay then; a recording that would have to wait for a value fails.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from repro.train.graphs import WARM_UP, Recording


class HostSync(AssertionError):
    """The work read a value: CUDA refuses that in a capture."""


class Tape(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            raise HostSync(str(func))
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        self.operations.append((func, args, kwargs, result))
        return result

    @torch.no_grad()
    def replay(self) -> None:
        for func, args, kwargs, result in self.operations:
            again = tree_flatten(func(*args, **kwargs))[0]
            for place, value in zip(tree_flatten(result)[0], again, strict=True):
                if isinstance(place, torch.Tensor) and place.data_ptr() != value.data_ptr():
                    place.copy_(value)


@dataclass
class Log:
    """What the lanes did, in order: ("record" or "replay", lane)."""

    events: list[tuple[str, int]] = field(default_factory=list)
    lanes: int = 0

    def lane(self) -> "TapeLane":
        self.lanes += 1
        return TapeLane(self, self.lanes - 1)


@dataclass
class TapeLane:
    """Lanes run at once, so waiting is only noted: the marks are positions in the log."""

    log: Log
    number: int
    waited_for: list[list[int]] = field(default_factory=list)

    def record(self, work: Callable[[], Any]) -> Recording:
        for _ in range(WARM_UP):
            work()
        with Tape() as tape:
            kept = work()
        self.log.events.append(("record", self.number))
        return Recording(tape.replay, kept)

    def replay(self, recording: Recording, *, after: Iterable[Any]) -> int:
        self.waited_for.append(list(after))
        recording.replay()
        self.log.events.append(("replay", self.number))
        return len(self.log.events) - 1

    def follow(self) -> None: ...

    def lead(self) -> None: ...
