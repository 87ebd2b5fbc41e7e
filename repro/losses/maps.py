"""Feature maps of a student and a teacher made comparable."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.outputs import Outputs


def full_precision(x: Tensor) -> Tensor:
    """``x`` in float32 where it has less (maps under autocast); float64 stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def to_smaller(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Maps [B, C, H, W] with the height and the width of the smaller one.

    The larger one is averaged (adaptive average pooling), as RepDistiller does in
    distiller_zoo/{AT,NST,VID}.py at b84f547. The channels stay as they are.
    """
    height, width = (min(a.shape[dim], b.shape[dim]) for dim in (2, 3))
    return resized(a, height, width), resized(b, height, width)


def resized(maps: Tensor, height: int, width: int) -> Tensor:
    """Adaptive average pooling of [B, C, H, W]; the maps themselves where the size fits."""
    if maps.shape[2:] == (height, width):
        return maps
    return F.adaptive_avg_pool2d(maps, (height, width))


def stage_pairs(student: Outputs, teacher: Outputs) -> list[tuple[Tensor, Tensor]]:
    """Features of the student and of the teacher for each stage, from the first; no stem.

    In full precision, with the teacher's detached; sizes may differ. Where one has a stage more
    than the other, its last one has no partner: RepDistiller pairs ``feat[1:-1]`` in this way
    (train_student.py and helper/loops.py at b84f547; the last entry there is the pooled vector).
    """
    return paired(student.features[1:], teacher.features[1:])


def paired(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Both in full precision and the teacher's detached, as far as both go."""
    return [
        (full_precision(a), full_precision(b.detach()))
        for a, b in zip(student, teacher, strict=False)
    ]
