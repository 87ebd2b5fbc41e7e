"""Checkpoints of other suites, read without running anything and fitted to our networks.

RepDistiller (train_teacher.py) saves ``{"model": state_dict, "epoch", "optimizer"}`` with
"best_acc" or "accuracy" in percent, or with its options, an ``argparse.Namespace``, as "opt".
mdistiller (engine/trainer.py) saves the whole distiller as "model", so that its names begin with
"module.student.", beside "teacher." and the method's own layers, and "best_acc" as a tensor; its
student_* files and its downloaded teachers are ``{"model": state_dict}``. Both keep the modules in
one order, which is ours (repro/models), under other names: tensors are fitted by position.
"""

import argparse
import math
import re
import struct
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from repro.data.sizes import NUM_CLASSES
from repro.errors import UserError, choose
from repro.models import IMAGENET_MODELS, MODELS, Places, places

WAY_OUT = "give a checkpoint of RepDistiller or mdistiller, a state dict or our .safetensors"
CLAIMS = ("best_acc", "accuracy")
STUDENT = "student."


@dataclass(frozen=True)
class Foreign:
    """What a file holds. ``tensors`` in the file's order, wrappers' prefixes taken off.

    ``claimed``: the top-1 (percent) that it says it has, None where it says nothing.
    ``left_out``: how many tensors beside the student's there are in a distiller's checkpoint.
    ``ordered``: whether the file keeps an order, which safetensors do not.
    """

    name: str
    tensors: Mapping[str, Tensor]
    claimed: float | None = None
    left_out: int = 0
    ordered: bool = True


def read_foreign(path: Path) -> Foreign:
    """Raises UserError for what is no file, damaged, of another layout or more than data."""
    if not path.is_file():
        raise UserError(f"{path} {'is a directory' if path.is_dir() else 'does not exist'}")
    try:
        if path.suffix == ".safetensors":
            return Foreign(path.name, safetensors.torch.load_file(path), ordered=False)
        content = _load(path)
        return _foreign(path.name, content)
    except UserError:
        raise
    except Exception as error:  # a damaged file can raise nearly any exception
        raise _refused(path, error) from error


class _NumpyType:
    """Stands for ``numpy.dtype``, which an optimiser's learning rate drags in; takes no state."""

    def __init__(self, code: str = "", *_: object) -> None:
        self.code = code

    def __setstate__(self, _: object) -> None: ...


def _numpy_number(kind: _NumpyType, raw: bytes) -> float:
    """Stands for a NumPy scalar: its number if it is a float64, else NaN."""
    return struct.unpack("<d", raw)[0] if kind.code == "f8" else math.nan


def _load(path: Path) -> Any:
    """Containers, text, numbers, tensors and a Namespace. NumPy's own code is not called."""
    allowed: list[Any] = [argparse.Namespace, (_NumpyType, "numpy.dtype")]
    allowed += [(_numpy_number, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    with torch.serialization.safe_globals(allowed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as of another pickle protocol: it works or is told
        return torch.load(path, map_location="cpu", weights_only=True)


def _refused(path: Path, error: Exception) -> UserError:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    code = re.search(r"GLOBAL (\S+)", text)
    if code:
        return UserError(f"{path} is refused: it would run {code[1]}; {WAY_OUT}")
    return UserError(f"{path} is damaged or no checkpoint ({text[:150]}); {WAY_OUT}")


def _foreign(name: str, content: Any) -> Foreign:
    found = content
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        found = content["model"]
    if not isinstance(found, dict) or not found or not all(map(_is_entry, found.items())):
        raise UserError(f"{name} holds no state dict, alone or as its entry 'model'; {WAY_OUT}")
    tensors = dict(found)
    if all(key.startswith("module.") for key in tensors):  # of DataParallel
        tensors = {key.removeprefix("module."): tensor for key, tensor in tensors.items()}
    student = {k.removeprefix(STUDENT): t for k, t in tensors.items() if k.startswith(STUDENT)}
    left_out = len(tensors) - len(student) if student else 0
    claimed = _claimed(content) if found is not content else None
    return Foreign(name, student or tensors, claimed, left_out)


def _is_entry(item: tuple[object, object]) -> bool:
    key, tensor = item
    return isinstance(key, str) and key.isprintable() and _is_plain(tensor)


def _is_plain(value: object) -> bool:
    """Is it a tensor with a value for each place: not sparse, quantised or without storage?"""
    if type(value) not in (Tensor, torch.nn.Parameter):
        return False
    assert isinstance(value, Tensor)
    return value.layout == torch.strided and not value.is_quantized and not value.is_meta


def _claimed(content: Mapping[str, Any]) -> float | None:
    """In percent, from a number or a tensor with one; up to 1 it is a fraction."""
    for name in CLAIMS:
        value = content.get(name)
        if isinstance(value, Tensor) and _is_plain(value) and value.numel() == 1:
            value = value.item()
        if isinstance(value, int | float) and 0 < value <= 100:
            return float(value * 100 if value <= 1 else value)
    return None


COUNT = "num_batches_tracked"  # older PyTorch has none, and our networks do not count
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def fitted(foreign: Foreign, network: str) -> dict[str, Tensor]:
    """The tensors under our names, as ``save_half`` stores them: parameters in half precision.

    Raises UserError for an unknown network, for the first tensor that has no place in it or another
    shape, with the network that the file does fit, and for values that cannot be kept.
    """
    known = MODELS | IMAGENET_MODELS
    if network not in known:
        raise choose("network", network, known)
    own = _places(network)
    pairs, misfit = _paired(foreign, own)
    if misfit:
        fits = [name for name in known if not _paired(foreign, _places(name))[1]]
        hint = f"it fits --network {' or '.join(fits)}" if fits else "it fits no known network"
        raise UserError(f"{foreign.name} is no {network}: {misfit}; {hint}")
    stored = {ours: _kept(foreign, theirs, own[ours]) for ours, theirs in pairs.items()}
    return stored | {n: torch.zeros((), dtype=torch.int64) for n in own if n.endswith(COUNT)}


def _places(network: str) -> Places:
    return places(network, NUM_CLASSES[dataset_of(network)])


def dataset_of(network: str) -> str:
    """What a network of that name was trained on elsewhere."""
    return "imagenet" if network in IMAGENET_MODELS else "cifar100"


def _paired(foreign: Foreign, own: Places) -> tuple[dict[str, str], str]:
    """Our names -> the file's, by name where all agree, else by position; and what does not fit."""
    ours, theirs = ([n for n in names if not n.endswith(COUNT)] for names in (own, foreign.tensors))
    if set(ours) == set(theirs):
        theirs = ours
    elif not foreign.ordered:
        return {}, "its names are not ours, and .safetensors keep no order (a .pth does)"
    misfits = _misfits(foreign, own, ours, theirs)
    return dict(zip(ours, theirs, strict=False)), next(misfits, "")


def _misfits(foreign: Foreign, own: Places, ours: list[str], theirs: list[str]) -> Iterator[str]:
    for mine, other in zip(ours, theirs, strict=False):
        expected, found = list(own[mine].shape), list(foreign.tensors[other].shape)
        # a weight and a bias of a BatchNorm have one shape: the last word of their names tells
        if expected != found or mine.rpartition(".")[2] != other.rpartition(".")[2]:
            yield f"its {other} {found} stands where {mine} {expected} belongs"
    if len(theirs) < len(ours):
        yield f"it ends after {len(theirs)} of {len(ours)} tensors, before {ours[len(theirs)]}"
    if len(theirs) > len(ours):
        yield f"it goes on after the {len(ours)} tensors with {theirs[len(ours)]}"


def _kept(foreign: Foreign, name: str, place: Tensor) -> Tensor:
    """A parameter in half precision, a buffer in float32. Raises UserError where it cannot be."""
    tensor, where = foreign.tensors[name].detach(), f"{foreign.name}: {name}"
    if tensor.dtype not in FLOATS:
        raise UserError(f"{where} holds {tensor.dtype}, not floating-point numbers")
    if not tensor.isfinite().all():
        raise UserError(f"{where} holds values that are not finite")
    dtype = torch.float16 if isinstance(place, torch.nn.Parameter) else torch.float32
    kept = tensor.to(dtype).contiguous()
    if not kept.isfinite().all():
        largest, limit = tensor.abs().max().item(), torch.finfo(dtype).max
        raise UserError(f"{where} holds {largest:g}, but {dtype} ends at {limit:g}")
    return kept
