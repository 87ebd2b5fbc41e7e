"""Normalised knowledge distillation: the other classes as a distribution of their own."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.losses.checks import check_fields
from repro.outputs import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class NKD:
    """Yang et al. 2023 (ICCV), arXiv 2303.13005. With y the label, p = softmax(z), and r the
    softmax of z / T over all classes but y:

        CE - p_teacher[y] log p_student[y] - gamma T^2 sum_{i != y} r_teacher[i] log r_student[i]

    Both are cross-entropies: at the teacher the last one is least, not zero. The first has no T.

    gamma = 3.5 and T = 3 are the authors' for CIFAR-100 (ResNet-34 to ResNet-18): yzd-v/cls_KD,
    configs/distillers/cifar100/res34_distill_res18_cifar.py, commit e21ad37; on ImageNet they take
    gamma = 1.5, T = 1 (mmcls/models/dis_losses/nkd.py). CE counts once, as it does there.
    """

    gamma: float = 3.5
    temperature: float = 3.0
    ce_weight: float = 1.0
    target_weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        labels = batch.labels.unsqueeze(1)  # [B, 1]
        teacher_logits = teacher.logits.detach()
        log_p = F.log_softmax(student.logits, dim=1)
        of_label = F.nll_loss(log_p, batch.labels, reduction="none")  # [B]
        trust = F.softmax(teacher_logits, dim=1).gather(1, labels).squeeze(1)  # [B]
        z_s, z_t = (
            _without(z / self.temperature, labels) for z in (student.logits, teacher_logits)
        )
        others = F.cross_entropy(z_s, F.softmax(z_t, dim=1)) * self.temperature**2
        return {
            "ce": self.ce_weight * of_label.mean(),
            "target": self.target_weight * (trust * of_label).mean(),
            "non_target": self.gamma * others,
        }


def _without(logits: Tensor, labels: Tensor) -> Tensor:
    """[B, K] with the labels' logits so low that their probability is exactly 0.

    Not -inf: 0 probability times its infinite logarithm would be nan.
    """
    return logits.scatter(1, labels, torch.finfo(logits.dtype).min)
