"""The machine: what it is, its clock's fence, and the memory that a block needed."""

import ctypes
import gc
import os
from datetime import UTC, datetime
from pathlib import Path

import torch

from repro.environment import describe

STATUS, CLEAR_REFS = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # to clear_refs: the peak resident size becomes the present one, see proc(5)


def hardware(device: torch.device) -> dict[str, object]:
    """Versions and threads, the ``cores`` this process may use, the load of the last minute."""
    described = {name: value for name, value in describe(device).items() if name != "host"}
    return described | {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load_average": os.getloadavg()[0],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def computes_bf16(device: torch.device) -> bool:
    """Has the device instructions for bfloat16 products? (AVX512-BF16 or AMX on a CPU.)"""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text().split() if cpuinfo.exists() else []
    return bool({"avx512_bf16", "amx_bf16"} & set(flags))


def synchronize(device: torch.device) -> None:
    """Wait for everything that was started on the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def reset_peak(device: torch.device) -> None:
    """Give back what is free, and count the peak from here on."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)  # against keep_freed_memory: else every block shows the largest before
    reset_resident_peak()


def reset_resident_peak() -> bool:
    """False where the system does not allow it: the peak is then that since the process began."""
    try:
        CLEAR_REFS.write_text(RESET_PEAK)
    except OSError:
        return False
    return True


def peak_bytes(device: torch.device) -> int | None:
    """The most memory since ``reset_peak``; None where it cannot be known.

    On CUDA what tensors took, the training images among them. On a CPU the resident size of the
    whole process: libraries and both sides' images included, the reference's workers not.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    lines = STATUS.read_text().splitlines() if STATUS.exists() else []
    kibibytes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return kibibytes[0] * 1024 if kibibytes else None
