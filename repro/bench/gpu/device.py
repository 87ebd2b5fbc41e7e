"""The CUDA calls of the experiments, all of them, and what stands for them in a rehearsal."""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Protocol

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity

from repro.bench.gpu.nodes import graph_nodes, top_kernels
from repro.bench.gpu.rehearsal import CallLane
from repro.errors import UserError
from repro.train.graphs import WARM_UP, CudaLane, Lane

Run = Callable[[int], None]  # so many times, after and before what the current stream does
Work = Callable[[], Any]


class Device(Protocol):
    """Where an experiment runs: a GPU, or a CPU that rehearses it."""

    device: torch.device
    rehearsal: bool

    def lane(self) -> Lane:
        """For ``RecordedStep``."""

    def record(self, *works: Work) -> Run:
        """A recording each, on a stream of its own: they run side by side."""

    def fork_join(self, first: Work, branches: Sequence[Callable[[Any], Any]]) -> Run:
        """One recording: ``first``, then every branch on what it returned, side by side."""

    def block_ms(self, run: Run, times: int) -> float:
        """Milliseconds of the device for one of ``times``."""

    def synchronize(self) -> None: ...

    def reset(self) -> None:
        """Free what is free, and count the peak of the memory from here on."""

    def peak_bytes(self) -> int | None: ...

    def nodes(self, work: Work) -> dict[str, int]:
        """The nodes of the recorded work, by kind."""

    def kernels(self, work: Work) -> list[dict[str, Any]]:
        """The kernels of the work run eagerly, by their time."""


class Cuda:
    """The first GPU. Raises UserError where there is none."""

    rehearsal = False

    def __init__(self) -> None:
        if not torch.cuda.is_available():
            raise UserError("no CUDA device here; --rehearse runs the experiments tiny on the CPU")
        self.device = torch.device("cuda", torch.cuda.current_device())

    def lane(self) -> Lane:
        return CudaLane(self.device)

    def record(self, *works: Work) -> Run:
        lanes = [CudaLane(self.device) for _ in works]
        pairs = [(lane, lane.record(work)) for lane, work in zip(lanes, works, strict=True)]

        def run(times: int) -> None:
            for lane, _ in pairs:
                lane.follow()
            for _ in range(times):
                for lane, recording in pairs:
                    with torch.cuda.stream(lane.stream):
                        recording.replay()
            for lane, _ in pairs:
                lane.lead()

        return run

    def fork_join(self, first: Work, branches: Sequence[Callable[[Any], Any]]) -> Run:
        main = torch.cuda.Stream(self.device)
        streams = [torch.cuda.Stream(self.device) for _ in branches]

        def work() -> None:  # runs on ``main``
            given = first()
            for stream, branch in zip(streams, branches, strict=True):
                stream.wait_stream(main)
                with torch.cuda.stream(stream):
                    branch(given)
            for stream in streams:
                main.wait_stream(stream)

        torch.cuda.synchronize()
        with torch.cuda.stream(main):
            for _ in range(WARM_UP):
                work()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=main, capture_error_mode="thread_local"):
            work()

        def run(times: int) -> None:
            main.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(main):
                for _ in range(times):
                    graph.replay()
            torch.cuda.current_stream().wait_stream(main)

        return run

    def block_ms(self, run: Run, times: int) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        run(times)
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / times

    def synchronize(self) -> None:
        torch.cuda.synchronize()

    def reset(self) -> None:
        torch.cuda.synchronize()
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()

    def peak_bytes(self) -> int | None:
        """Reserved, not allocated: recordings keep their memory without tensors in it."""
        return torch.cuda.max_memory_reserved()

    def nodes(self, work: Work) -> dict[str, int]:
        stream = torch.cuda.Stream(self.device)
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP):
                work()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph(keep_graph=True)
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            work()
        return graph_nodes(graph.raw_cuda_graph())

    def kernels(self, work: Work) -> list[dict[str, Any]]:
        return top_kernels(work, self.synchronize, ProfilerActivity.CUDA, DeviceType.CUDA)


class Rehearsal:
    """A CPU: recorded work is simply called again, one branch after the other."""

    rehearsal = True
    device = torch.device("cpu")

    def lane(self) -> Lane:
        return CallLane()

    def record(self, *works: Work) -> Run:
        def run(times: int) -> None:
            for _ in range(times):
                for work in works:
                    work()

        return run

    def fork_join(self, first: Work, branches: Sequence[Callable[[Any], Any]]) -> Run:
        def work() -> None:
            given = first()
            for branch in branches:
                branch(given)

        return self.record(work)

    def block_ms(self, run: Run, times: int) -> float:
        began = time.perf_counter()
        run(times)
        return (time.perf_counter() - began) * 1e3 / times

    def synchronize(self) -> None: ...

    def reset(self) -> None: ...

    def peak_bytes(self) -> int | None:
        return None

    def nodes(self, work: Work) -> dict[str, int]:
        work()
        return {}

    def kernels(self, work: Work) -> list[dict[str, Any]]:
        return top_kernels(work, self.synchronize, ProfilerActivity.CPU, DeviceType.CPU)


def fork_join(device: Device, works: Sequence[Work]) -> Run:
    """One recording of works that need nothing from one another."""
    return device.fork_join(lambda: None, [partial(_without, work) for work in works])


def _without(work: Work, _given: Any) -> Any:
    return work()


@contextmanager
def cudnn(*, benchmark: bool, deterministic: bool = False) -> Iterator[None]:
    """cuDNN's choice of algorithms inside the block; TF32 stays as it is (on by default)."""
    settings = torch.backends.cudnn
    before = settings.benchmark, settings.deterministic
    settings.benchmark, settings.deterministic = benchmark, deterministic
    try:
        yield
    finally:
        settings.benchmark, settings.deterministic = before
