"""Variational information distillation: the teacher's maps as Gaussians around a guess."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.losses.checks import check_fields
from repro.losses.maps import stage_pairs, to_smaller
from repro.outputs import Batch, Outputs

VARIANCE = 5.0  # the first one, and the smallest: RepDistiller distiller_zoo/VID.py at b84f547
SMALLEST_VARIANCE = 1e-5


@dataclass(frozen=True, kw_only=True)
class VID:
    """Ahn et al. 2019, arXiv 1904.05835: CE - vid_weight sum_l log q(teacher's maps | student's).

    Maximises a lower bound of the mutual information of the two networks' stages. q is a Gaussian:
    its mean is a small network of the student's maps, its variance one number a
    channel, softplus(alpha_c) + 1e-5; both are trained along:

        -log q = mean over images, channels and pixels of [log v_c + (t - mean)^2 / v_c] / 2

    The constant log(2 pi) / 2 is left out, so the term can be negative. Weight 1, all stages but no
    stem, three 1x1 convolutions and the larger map averaged to the smaller one's size: RepDistiller
    distiller_zoo/VID.py, train_student.py and scripts/run_cifar_distill.sh at b84f547. (mdistiller
    at a08d46f keeps the variances out of the optimiser: they stay 5.)

    DEVIATION: the paper sums over channels and pixels; the released code takes the mean, and the
    weight 1 goes with it.
    """

    uses_features = True

    vid_weight: float = 1.0
    ce_weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def make_adapter(self, student: Outputs, teacher: Outputs, labels: Tensor) -> nn.Module:  # noqa: ARG002
        pairs = stage_pairs(student, teacher)
        return nn.ModuleList(Gaussian(a.shape[1], b.shape[1]) for a, b in pairs)

    def __call__(
        self, student: Outputs, teacher: Outputs, batch: Batch, adapter: nn.ModuleList
    ) -> dict[str, Tensor]:
        pairs = stage_pairs(student, teacher)
        losses = [
            gaussian(*to_smaller(a, b)) for gaussian, (a, b) in zip(adapter, pairs, strict=True)
        ]
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "vid": self.vid_weight * torch.stack(losses).sum(),
        }


class Gaussian(nn.Module):
    """q of one stage; returns its mean negative log-likelihood, without the constant."""

    def __init__(self, student_channels: int, channels: int) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.Conv2d(student_channels, channels, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1, bias=False),
        )
        alpha = math.log(math.expm1(VARIANCE - SMALLEST_VARIANCE))  # the inverse of softplus
        self.alpha = nn.Parameter(torch.full((channels, 1, 1), alpha))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Maps [B, C, H, W] of one size -> 0-d."""
        variance = F.softplus(self.alpha) + SMALLEST_VARIANCE  # [C, 1, 1]
        square = (self.mean(student) - teacher).square()  # [B, C, H, W]
        return 0.5 * ((square / variance).mean() + variance.log().mean())
