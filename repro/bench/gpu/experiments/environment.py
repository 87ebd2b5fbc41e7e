"""E0: what the machine and its PyTorch are, and how fast it copies."""

import importlib.util
import shutil
import subprocess
import time
from functools import partial

import torch

from repro.bench.gpu.lab import Lab, Row
from repro.bench.machine import hardware

QUERY = (
    "name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,temperature.gpu,power.draw,compute_mode"
)
PROGRAMS = ("nvcc", "nvidia-smi", "nvidia-cuda-mps-control", "nvidia-cuda-mps-server", "g++")
PACKAGES = ("triton", "cuda.bindings", "torchvision", "mlflow", "psutil", "click", "rich", "pandas")
COPIED_BYTES, REHEARSED_BYTES = 256 << 20, 1 << 16
COPIES = 8


def measure(lab: Lab) -> None:
    lab.row({"part": "software"}, partial(software, lab))
    lab.row({"part": "features"}, features)
    lab.row({"part": "gpu"}, partial(gpu, lab))
    for pinned in (True, False):
        labels = {"part": "copies", "from": "host", "to": "device", "pinned": pinned}
        lab.row(labels, partial(host_copy, lab, pinned))
    lab.row({"part": "copies", "from": "device", "to": "device"}, partial(device_copy, lab))


def software(lab: Lab) -> Row:
    return hardware(lab.device.device) | {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "programs": {name: bool(shutil.which(name)) for name in PROGRAMS},
        "packages": {name: has_package(name) for name in PACKAGES},
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "matmul_tf32": torch.backends.cuda.matmul.allow_tf32,
    }


def has_package(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ImportError:  # its parent is missing
        return False


def features() -> Row:
    """What later versions of PyTorch have and this one may not."""
    graph = torch.cuda.CUDAGraph
    return {
        "raw_cuda_graph": hasattr(graph, "raw_cuda_graph"),
        "get_graph_data": hasattr(graph, "get_graph_data"),
        "override_stale_capture_stream": hasattr(
            torch.autograd.graph, "set_override_stale_capture_stream"
        ),
        "green_contexts": hasattr(torch.cuda, "GreenContext"),
        "fp32_precision": hasattr(torch.backends, "fp32_precision"),
    }


def gpu(lab: Lab) -> Row:
    if lab.device.rehearsal:
        return {"name": "none: a rehearsal"}
    properties = torch.cuda.get_device_properties(lab.device.device)
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    values = [value.strip() for value in asked.stdout.splitlines()[0].split(",")]
    return dict(zip(QUERY.split(","), values, strict=True)) | {
        "multiprocessors": properties.multi_processor_count,
        "memory_bytes": properties.total_memory,
        "l2_bytes": properties.L2_cache_size,
    }


def host_copy(lab: Lab, pinned: bool) -> Row:
    count = REHEARSED_BYTES if lab.device.rehearsal else COPIED_BYTES
    source = torch.ones(count, dtype=torch.uint8)
    if pinned and not lab.device.rehearsal:
        source = source.pin_memory()
    target = source.to(lab.device.device)
    lab.device.synchronize()
    began = time.perf_counter()
    for _ in range(COPIES):
        target.copy_(source, non_blocking=True)
    lab.device.synchronize()
    return {"gb_per_second": COPIES * count / (time.perf_counter() - began) / 1e9}


def device_copy(lab: Lab) -> Row:
    """Counting bytes read and bytes written."""
    count = REHEARSED_BYTES if lab.device.rehearsal else 4 * COPIED_BYTES
    source = torch.ones(count, dtype=torch.uint8, device=lab.device.device)
    target = torch.zeros_like(source)
    found = lab.time(lab.device.record(lambda: target.copy_(source)))
    return found | {"gb_per_second": 2 * count / found["ms_min"] / 1e6}
