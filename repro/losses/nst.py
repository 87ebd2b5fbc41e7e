"""Neuron selectivity transfer: channels' activation patterns as samples of a distribution."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.losses.checks import check_fields
from repro.losses.maps import stage_pairs, to_smaller
from repro.outputs import Batch, Outputs

EPS = 1e-10  # added to squared norms; symbol/transfer.py of the authors (see NST)


@dataclass(frozen=True, kw_only=True)
class NST:
    """Huang & Wang 2017, arXiv 1707.01219: CE + nst_weight sum_l MMD^2, averaged over the images.

    Each channel of a stage is a sample: its map as a vector over the pixels, of norm 1. MMD^2 is
    the squared maximum mean discrepancy of the student's samples a and the teacher's b under the
    kernel k(x, y) = (x . y)^2:

        mean_ij k(a_i, a_j) + mean_ij k(b_i, b_j) - 2 mean_ij k(a_i, b_j)

    Weight 50, all stages but no stem, the larger map averaged to the smaller one's size before the
    norm: RepDistiller distiller_zoo/NST.py and scripts/run_cifar_distill.sh at b84f547; 50 with the
    same kernel and means in the authors' TuSimple/neuron-selectivity-transfer, config/cfgs.py,
    symbol/transfer.py.

    DEVIATION: the paper's objective has half this weight, lambda / 2 with lambda = 50; the released
    ones have all of it. (The authors' code, for ImageNet, compares the last maps alone.)
    """

    uses_features = True

    nst_weight: float = 50.0
    ce_weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        losses = []
        for a, b in stage_pairs(student, teacher):
            a, b = to_smaller(a, b)
            losses.append(discrepancy(patterns(a), patterns(b)))
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "nst": self.nst_weight * torch.stack(losses).sum(),
        }


def patterns(maps: Tensor) -> Tensor:
    """Features [B, C, H, W] -> vectors [B, C, N = H W] of norm 1; 0 for a channel of zeros.

    RepDistiller divides by max(norm, 1e-12), which makes a unit vector of the faintest activation.
    """
    vectors = maps.flatten(2)
    return vectors * vectors.square().sum(dim=2, keepdim=True).add(EPS).rsqrt()


def discrepancy(a: Tensor, b: Tensor) -> Tensor:
    """MMD^2 of samples [B, A, N] and [B, C, N] under the kernel (x . y)^2, mean over the batch.

    (x . y)^2 is the inner product of the N x N matrices x x^T and y y^T, so MMD^2 is the squared
    distance of their means: with fewer pixels than channels that is less work and memory than the
    products of all channels (RepDistiller keeps [B, C, C, N] numbers).
    """
    if a.shape[2] <= max(a.shape[1], b.shape[1]):
        difference = a.mT @ a / a.shape[1] - b.mT @ b / b.shape[1]  # [B, N, N]
        return difference.square().sum(dim=(1, 2)).mean()
    own, theirs, both = ((x @ y.mT).square().mean() for x, y in ((a, a), (b, b), (a, b)))
    return own + theirs - 2 * both
