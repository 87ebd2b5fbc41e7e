"""Attention transfer: where the channels' energy lies in the image."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.losses.checks import check_fields
from repro.losses.maps import stage_pairs, to_smaller
from repro.outputs import Batch, Outputs

EPS = 1e-12  # smallest norm that is divided by; RepDistiller: the default of F.normalize


@dataclass(frozen=True, kw_only=True)
class AT:
    """Zagoruyko & Komodakis 2017, arXiv 1612.03928, activation-based.

    A stage's attention q is the mean over channels of the squared features, as a vector over the
    N pixels divided by its Euclidean norm. Summed over the stages, averaged over the images:

        distance "squared":  CE + attention_weight sum_l ||q_S - q_T||^2 / N_l
        distance "norm":     CE + attention_weight sum_l ||q_S - q_T||_2 / (2 N_l)

    "norm" is the paper's equation 2 with its beta, 10^3 over pixels and batch size (section 4.1).
    The authors' code and the benchmark's take "squared" with the same 10^3, and the quoted numbers
    come from it, so it is the default: szagoruyko/attention-transfer cifar.py at 083a612
    (issue 34 asks why), RepDistiller distiller_zoo/AT.py and scripts/run_cifar_distill.sh at
    b84f547.

    DEVIATION: the default is not equation 2. All stages but no stem, and the larger map averaged to
    the smaller one's size before it is squared, as in RepDistiller (the paper has equal sizes).
    """

    uses_features = True

    attention_weight: float = 1000.0
    distance: Literal["squared", "norm"] = "squared"
    ce_weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        losses = [self._distance(*to_smaller(a, b)) for a, b in stage_pairs(student, teacher)]
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "attention": self.attention_weight * torch.stack(losses).sum(),
        }

    def _distance(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Of maps [B, C, H, W], any C, as a mean over the batch."""
        difference = attention(student) - attention(teacher)  # [B, N]
        if self.distance == "squared":
            return difference.square().mean()
        norm = torch.linalg.vector_norm(difference, dim=1)  # its gradient is 0 at 0
        return norm.mean() / (2 * difference.shape[1])


def attention(maps: Tensor) -> Tensor:
    """Features [B, C, H, W] -> unit vectors [B, H W]; zero where all features are."""
    return F.normalize(maps.square().mean(dim=1).flatten(1), eps=EPS)
