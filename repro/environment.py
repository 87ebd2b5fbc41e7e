"""What a run was trained on, for its record: versions, machine, threads, commit."""

import ctypes
import platform
import subprocess
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]


def describe(device: torch.device) -> dict[str, object]:
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "tf32": device.type == "cuda" and torch.backends.cudnn.allow_tf32,
        "host": platform.platform(),
        "git_commit": git_commit(),
    }


def prepare(device: torch.device) -> None:
    """Settings of this process for training on ``device``.

    On CUDA: cuDNN measures its algorithms for each shape (there are a dozen in all), and float32
    convolutions run in TF32, which every record says (``tf32``); other products stay float32.
    """
    keep_freed_memory()
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = True
        torch.backends.cuda.matmul.allow_tf32 = False


def keep_freed_memory() -> None:
    """Let glibc reuse large freed blocks instead of returning them to the kernel every step.

    Page faults cost a fifth of a resnet8 step on two cores: 1,670 to 2,200 images/s. Values of
    M_MMAP_THRESHOLD and M_TRIM_THRESHOLD as in malloc.h; elsewhere this does nothing.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(-3, 32 << 20)  # M_MMAP_THRESHOLD: blocks up to its allowed maximum
        libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD: never shrink the heap


def device_name(device: torch.device) -> str:
    """The GPU's or the processor's name."""
    if device.type == "cuda":  # a launcher's cluster may have some where itself has none
        return torch.cuda.get_device_name(device) if torch.cuda.is_available() else "GPU"
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def git_commit() -> str:
    """The commit of this checkout, with ``-dirty`` for local changes; empty outside one."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=40", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
