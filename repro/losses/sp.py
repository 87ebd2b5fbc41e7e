"""Similarity-preserving distillation: which images of a batch activate a network alike."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from repro.losses.checks import check_fields
from repro.losses.embedding import unit_rows
from repro.losses.maps import full_precision
from repro.outputs import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class SP:
    """Tung & Mori 2019, arXiv 1907.09682, section 3.1:

        CE + sp_weight ||G_T - G_S||_F^2 / B^2

    with G [B, B] the inner products of the images' last maps (the last stage's, all channels and
    pixels in a row), each of its rows divided by its norm. Channels and sizes of student and
    teacher may differ. The paper sums over pairs of layers; the last layer alone and the weight
    3000 are the CRD benchmark's (RepDistiller helper/loops.py and scripts/run_cifar_distill.sh at
    b84f547).

    A row of zeros stays one, with gradient 0 (RepDistiller's is multiplied by 1e12).
    """

    uses_features = True

    sp_weight: float = 3000.0
    ce_weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        own = _similarities(student.features[-1])
        target = _similarities(teacher.features[-1].detach())
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "sp": self.sp_weight * F.mse_loss(own, target),
        }


def _similarities(maps: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, B]: inner products of the images' maps, in rows of norm 1."""
    rows = full_precision(maps).flatten(1)
    return unit_rows(rows @ rows.T)
