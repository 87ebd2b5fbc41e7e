"""A CUDA that notes what it is asked for: the work runs on the CPU when it is captured."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
import torch

from repro.bench.gpu.device import Cuda


@dataclass
class FakeCuda:
    """``events`` in order: (what, stream, of whom). Stream 0 is the default one."""

    events: list[tuple[Any, ...]] = field(default_factory=list)
    streams: int = 0
    current: list["Stream"] = field(default_factory=list)
    graphs: int = 0

    def of(self, what: str) -> list[tuple[Any, ...]]:
        return [event[1:] for event in self.events if event[0] == what]

    @contextmanager
    def stream(self, which: "Stream") -> Iterator[None]:
        self.current.append(which)
        yield
        self.current.pop()

    @contextmanager
    def graph(
        self, made: "Graph", *, stream: "Stream", capture_error_mode: str, pool: Any = None
    ) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        self.events.append(("capture", stream.number, made.number, pool))
        with self.stream(stream):
            yield


class Stream:
    def __init__(self, fake: FakeCuda, device: Any = None) -> None:  # noqa: ARG002
        self.fake, self.number = fake, fake.streams
        fake.streams += 1

    def wait_stream(self, other: "Stream") -> None:
        self.fake.events.append(("wait", self.number, other.number))

    def wait_event(self, event: int) -> None:
        self.fake.events.append(("wait event", self.number, event))

    def record_event(self) -> int:
        return self.number


class Graph:
    def __init__(self, fake: FakeCuda, keep_graph: bool = False) -> None:
        self.fake, self.number, self.keep_graph = fake, fake.graphs, keep_graph
        fake.graphs += 1

    def replay(self) -> None:
        self.fake.events.append(("replay", self.fake.current[-1].number, self.number))

    def raw_cuda_graph(self) -> int:
        assert self.keep_graph
        return self.number


class Event:
    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self) -> None: ...

    def synchronize(self) -> None: ...

    def elapsed_time(self, _end: "Event") -> float:
        return 5.0


def install(patch: pytest.MonkeyPatch) -> FakeCuda:
    """Put the fake in the place of ``torch.cuda``'s functions and classes."""
    fake = FakeCuda()
    fake.current.append(Stream(fake))
    replaced = {
        "Stream": partial(Stream, fake),
        "CUDAGraph": partial(Graph, fake),
        "Event": Event,
        "stream": fake.stream,
        "graph": fake.graph,
        "current_stream": lambda *_: fake.current[-1],
        "graph_pool_handle": lambda: "pool",
        "max_memory_reserved": lambda: 7,
        "synchronize": lambda *_: None,
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda: None,
    }
    for name, value in replaced.items():
        patch.setattr(torch.cuda, name, value)
    return fake


def cuda_on_cpu(patch: pytest.MonkeyPatch) -> Cuda:
    """The experiments' CUDA device, its tensors on the CPU."""
    with patch.context() as there:
        there.setattr(torch.cuda, "is_available", lambda: True)
        there.setattr(torch.cuda, "current_device", lambda: 0)
        device = Cuda()
    assert device.device == torch.device("cuda", 0)
    device.device = torch.device("cpu")
    return device
