"""What a step consists of: the nodes of its graph, and its kernels as the profiler sees them."""

import ctypes
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity

DRIVER = "libcuda.so.1"
# CUgraphNodeType in cuda.h; the others count as "other".
KINDS = {0: "kernel", 1: "memcpy", 2: "memset", 3: "host", 4: "graph", 5: "empty"}
EAGER_STEPS, SHOWN = 3, 15


def graph_nodes(graph: int) -> dict[str, int]:
    """Nodes by kind of a ``cudaGraph_t`` (``CUDAGraph.raw_cuda_graph()``), asked of the driver."""
    driver, count, kind = ctypes.CDLL(DRIVER), ctypes.c_size_t(), ctypes.c_int()
    handle = ctypes.c_void_p(graph)
    _check(driver.cuGraphGetNodes(handle, None, ctypes.byref(count)))
    nodes = (ctypes.c_void_p * count.value)()
    _check(driver.cuGraphGetNodes(handle, nodes, ctypes.byref(count)))
    found: Counter[str] = Counter()
    for node in nodes:
        _check(driver.cuGraphNodeGetType(ctypes.c_void_p(node), ctypes.byref(kind)))
        found[KINDS.get(kind.value, "other")] += 1
    return dict(found) | {"all": count.value}


def _check(status: int) -> None:
    if status:
        raise RuntimeError(f"the CUDA driver answered {status} when asked for a graph's nodes")


def top_kernels(
    work: Callable[[], Any],
    synchronize: Callable[[], None],
    activity: ProfilerActivity,
    kind: DeviceType,
) -> list[dict[str, Any]]:
    """The work's kernels by time: name, launches and microseconds for one run; the first row is
    the sum over all."""
    work()
    synchronize()
    with torch.profiler.profile(activities=[activity]) as profile:
        for _ in range(EAGER_STEPS):
            work()
        synchronize()
    launches: Counter[str] = Counter()
    microseconds: dict[str, float] = defaultdict(float)
    for event in profile.events():
        # a range such as Optimizer.step spans kernels that are counted themselves
        if event.device_type == kind and not getattr(event, "is_user_annotation", False):
            launches[event.name] += 1
            microseconds[event.name] += event.time_range.elapsed_us()
    names = sorted(microseconds, key=lambda name: -microseconds[name])[:SHOWN]
    return [
        _row("all", launches.total(), sum(microseconds.values())),
        *(_row(name, launches[name], microseconds[name]) for name in names),
    ]


def _row(name: str, launches: int, microseconds: float) -> dict[str, Any]:
    return {
        "name": name[:90],
        "launches": round(launches / EAGER_STEPS, 2),
        "us": round(microseconds / EAGER_STEPS, 2),
    }
