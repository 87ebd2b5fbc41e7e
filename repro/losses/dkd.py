"""Knowledge distillation with the target class and the other classes taken apart."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.losses.checks import check_fields
from repro.outputs import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class DKD:
    """Zhao et al. 2022, arXiv 2203.08679: CE + alpha TCKD + beta NCKD, both times T^2.

    With p the target's probability: KL(teacher || student) = TCKD + (1 - p_teacher) NCKD,
    where TCKD is the divergence of (p, 1 - p) and NCKD that of the softmax over the other classes.
    alpha, beta, T and the 20-epoch warm-up: mdistiller, configs/cifar100/dkd/res32x4_res8x4.yaml
    (commit a08d46f); beta is 2 to 8 by pair there. ``warmup_epochs=0``: no warm-up.

    mdistiller takes the target out of the other classes' softmax by subtracting 1000 after the
    division by T; here it is left out exactly. The two agree in float32 unless the target leads by
    more than about 900 T. mdistiller's TCKD takes logs of probabilities, infinite once they
    underflow; here everything is a log-softmax.
    """

    alpha: float = 1.0
    beta: float = 8.0
    temperature: float = 4.0
    ce_weight: float = 1.0
    warmup_epochs: int = 20

    def __post_init__(self) -> None:
        check_fields(self)

    def at_epoch(self, epoch: int) -> "DKD":
        """The loss of ``epoch`` (from 0): alpha and beta times min((epoch + 1) / warm-up, 1)."""
        if self.warmup_epochs == 0:
            return self
        weight = min((epoch + 1) / self.warmup_epochs, 1.0)
        return replace(self, alpha=weight * self.alpha, beta=weight * self.beta, warmup_epochs=0)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        binary_s, others_s = _decouple(student.logits / self.temperature, batch.labels)
        binary_t, others_t = _decouple(teacher.logits.detach() / self.temperature, batch.labels)
        square = self.temperature**2
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "tckd": self.alpha * square * _kl(binary_s, binary_t),
            "nckd": self.beta * square * _kl(others_s, others_t),
        }


def _decouple(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of (target, not target) [B, 2], and of the other classes [B, K].

    The second has 0 in the target's place, on both sides, so it adds nothing to a divergence.
    """
    target = labels.unsqueeze(1) == torch.arange(logits.shape[1], device=logits.device)  # [B, K]
    log_p = F.log_softmax(logits, dim=1)  # [B, K]
    log_target = log_p.masked_fill(~target, 0.0).sum(1)  # [B]
    log_other = log_p.masked_fill(target, -torch.inf).logsumexp(1)  # [B]
    others = F.log_softmax(logits.masked_fill(target, -torch.inf), dim=1).masked_fill(target, 0.0)
    return torch.stack((log_target, log_other), dim=1), others


def _kl(log_student: Tensor, log_teacher: Tensor) -> Tensor:
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
