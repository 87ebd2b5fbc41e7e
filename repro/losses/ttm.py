"""Matching the teacher's probabilities after a power transform; the student's stay as they are."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from repro.losses.checks import check_fields
from repro.outputs import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class TTM:
    """Zheng & Yang 2024 (ICLR), arXiv 2402.11148: CE + beta KL(q || p), with p = softmax(z_student)
    and q = p_teacher^gamma normalised, which is softmax(gamma z_teacher): KD with T = 1 / gamma at
    the teacher alone, and no T^2.

    gamma and beta are tuned for each pair: Tables 8 to 10 of the paper (appendix A.4). The defaults
    are those of resnet32x4 to resnet8x4 (Table 8).
    """

    gamma: float = 0.1
    beta: float = 100.0
    ce_weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        log_p = F.log_softmax(student.logits, dim=1)  # [B, K]
        q = F.softmax(self.gamma * teacher.logits.detach(), dim=1)  # [B, K]
        return {
            "ce": self.ce_weight * F.nll_loss(log_p, batch.labels),
            "ttm": self.beta * F.kl_div(log_p, q, reduction="batchmean"),
        }
