"""Work that is recorded once and replayed, on lanes that run side by side; on CUDA for real."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch

WARM_UP = 3  # runs before a capture: cuDNN chooses its algorithms, libraries make their workspaces


@dataclass(frozen=True)
class Recording:
    """``replay`` does the recorded work again; ``kept`` is what the work returned: tensors that
    every replay fills anew."""

    replay: Callable[[], None]
    kept: Any


class Lane(Protocol):
    """An order of execution of its own: lanes run side by side except where one waits."""

    def record(self, work: Callable[[], Any]) -> Recording:
        """Run ``work`` a few times, then record it. Whatever it changes, it has changed then."""

    def replay(self, recording: Recording, *, after: Iterable[Any]) -> Any:
        """Replay once the marks ``after`` are reached; returns the mark of the replay's end."""

    def follow(self) -> None:
        """Wait for what was started outside the lanes."""

    def lead(self) -> None:
        """What is started outside the lanes from now on waits for this lane."""


class CudaLane:
    """A stream; recordings are CUDA graphs, each with a memory pool of its own.

    In one pool, what the replay of one needs for a moment might lie where the other keeps results.
    Warm-up and capture run on this lane's stream: a parameter's gradient accumulates on the stream
    of its first forward pass, and a capture that meets another stream there fails.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.stream = device, torch.cuda.Stream(device)

    def record(self, work: Callable[[], Any]) -> Recording:
        torch.cuda.synchronize(self.device)
        with torch.cuda.stream(self.stream):
            for _ in range(WARM_UP):
                work()
        torch.cuda.synchronize(self.device)
        graph = torch.cuda.CUDAGraph()
        # thread_local: threads that write records may go on with theirs
        with torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"):
            result = work()
        return Recording(graph.replay, result)

    def replay(self, recording: Recording, *, after: Iterable[Any]) -> Any:
        for mark in after:
            self.stream.wait_event(mark)
        with torch.cuda.stream(self.stream):
            recording.replay()
        return self.stream.record_event()

    def follow(self) -> None:
        self.stream.wait_stream(torch.cuda.current_stream(self.device))

    def lead(self) -> None:
        torch.cuda.current_stream(self.device).wait_stream(self.stream)
