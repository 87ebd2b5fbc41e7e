"""``import torchvision`` beside a PyTorch without CUDA (pytorch/vision issue 9085).

The torchvision on PyPI is built for CUDA: beside a CPU-only torch its C++ library does not load and
``import torchvision`` stops at "operator torchvision::nms does not exist". Declaring the operators
is enough for datasets, transforms and models; ``ops.nms`` and ``io.decode_*`` stay unusable.
"""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import torch

from repro.errors import UserError

_OPERATORS = ("nms", "qnms")
_SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# The declarations last as long as this object; None where the real library loads.
declared: torch.library.Library | None = None


def import_torchvision() -> ModuleType:
    """The package torchvision. Raises UserError where it is not installed."""
    if "torchvision" not in sys.modules:
        _declare_missing_operators(_library_path())
    return importlib.import_module("torchvision")


def _library_path() -> Path:
    found = importlib.util.find_spec("torchvision")  # does not import it
    if found is None or found.origin is None:
        raise UserError("torchvision is not installed; install the suite's requirements")
    return Path(found.origin).parent / "_C.so"


def _declare_missing_operators(path: Path) -> None:
    """Load the C++ library at ``path``, or else declare its operators; at most once."""
    global declared
    if declared is not None:
        return
    try:
        torch.ops.load_library(path)
    except OSError:
        declared = torch.library.Library("torchvision", "FRAGMENT")
        for name in _OPERATORS:
            declared.define(name + _SIGNATURE)
