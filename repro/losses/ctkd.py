"""Knowledge distillation at a temperature that learns to make it harder."""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.losses.checks import check_fields
from repro.outputs import Batch, Outputs


class Temperature(nn.Module):
    """lowest + span sigmoid(theta): one for all images. theta starts at 1."""

    def __init__(self, lowest: float, span: float) -> None:
        super().__init__()
        self.lowest, self.span = lowest, span
        self.theta = nn.Parameter(torch.ones(()))

    def forward(self) -> Tensor:
        return self.lowest + self.span * torch.sigmoid(self.theta)


@dataclass(frozen=True, kw_only=True)
class CTKD:
    """Li et al. 2023 (AAAI), arXiv 2211.16231: 0.1 CE + 0.9 T^2 KL, as KD, with a learned T.

    T = lowest + span sigmoid(theta) with one trained number theta, which the gradient moves uphill:
    theta receives -lambda times its gradient, the student the whole of its own. lambda rises from
    0 to 1 along a cosine over the first 10 epochs and stays there.

    Weights, T from 1 to 21, ramp: zhengli97/CTKD, scripts/run_cifar_distill.sh and train_student.py
    (commit 8ca3ce8; epochs count from 1 there, so the first has lambda = 0.024). theta = 1 at the
    start, T = 15.6; theta shares the student's optimiser, weight decay included, as it does there.
    The paper's other temperature, one an image from a small network, is not in the released code
    and not here. ``ramp_epochs=0``: lambda = ``magnitude`` throughout.
    """

    ce_weight: float = 0.1
    kd_weight: float = 0.9
    lowest: float = 1.0
    span: float = 20.0
    magnitude: float = 1.0
    ramp_epochs: int = 10

    def __post_init__(self) -> None:
        check_fields(self)

    def at_epoch(self, epoch: int) -> "CTKD":
        """The loss of ``epoch`` (from 0): lambda (1 - cos(pi min((epoch + 1) / ramp, 1))) / 2."""
        if self.ramp_epochs == 0:
            return self
        done = min((epoch + 1) / self.ramp_epochs, 1.0)
        share = (1 - math.cos(math.pi * done)) / 2
        return replace(self, magnitude=share * self.magnitude, ramp_epochs=0)

    def make_adapter(self, student: Outputs, teacher: Outputs, labels: Tensor) -> nn.Module:  # noqa: ARG002
        return Temperature(self.lowest, self.span)

    def __call__(
        self, student: Outputs, teacher: Outputs, batch: Batch, adapter: nn.Module
    ) -> dict[str, Tensor]:
        temperature = adapter()  # 0-d
        # The same value; its gradient times 1 - (1 + lambda) = -lambda.
        temperature = torch.lerp(temperature, temperature.detach(), 1 + self.magnitude)
        scale = temperature.reciprocal()
        log_p = F.log_softmax(student.logits * scale, dim=1)  # [B, K]
        log_q = F.log_softmax(teacher.logits.detach() * scale, dim=1)  # [B, K]
        kl = F.kl_div(log_p, log_q, reduction="batchmean", log_target=True) * temperature**2
        ce = F.cross_entropy(student.logits, batch.labels)
        return {"ce": self.ce_weight * ce, "kd": self.kd_weight * kl}
