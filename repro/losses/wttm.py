"""Power-transformed teacher matching, each image weighed by how smooth the teacher is on it."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from repro.losses.checks import check_fields
from repro.outputs import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class WTTM:
    """Zheng & Yang 2024 (ICLR), arXiv 2402.11148: CE + beta mean_b U_b KL(q_b || p_b).

    p and q as in ``TTM``; U = sum_k p_teacher[k]^gamma, the power sum that normalises q: 1 where
    the teacher is sure, K^(1 - gamma) where it is uniform.

    gamma and beta are tuned for each pair: Tables 8 to 10 of the paper (appendix A.4). The defaults
    are those of resnet32x4 to resnet8x4 (Table 8).
    """

    gamma: float = 0.1
    beta: float = 3.0
    ce_weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        log_p = F.log_softmax(student.logits, dim=1)  # [B, K]
        powers = (self.gamma * F.log_softmax(teacher.logits.detach(), dim=1)).exp()  # [B, K]
        smoothness = powers.sum(1, keepdim=True)  # [B, 1]
        kl = F.kl_div(log_p, powers / smoothness, reduction="none")  # [B, K], to be summed over K
        return {
            "ce": self.ce_weight * F.nll_loss(log_p, batch.labels),
            "wttm": self.beta * (smoothness * kl).sum() / len(log_p),
        }
