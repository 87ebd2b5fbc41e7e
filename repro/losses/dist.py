"""Distillation by Pearson's correlation between and within classes."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from repro.losses.checks import check_fields
from repro.losses.correlation import pearson
from repro.outputs import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class DIST:
    """Huang et al. 2022, arXiv 2205.10536, with r Pearson's correlation and p = softmax(z / T):

        CE + kd_weight T^2 [beta (1 - mean_i r(p_S[i, :], p_T[i, :]))     inter-class, rows
                          + gamma (1 - mean_k r(p_S[:, k], p_T[:, k]))]   intra-class, columns

    The T^2 and the values (kd_weight 2, beta = gamma = 1, T = 4 on CIFAR-100, 1 on ImageNet) are
    those of the authors' code: image_classification_sota, lib/models/losses/{dist_kd,kd_loss}.py.

    DEVIATION: their correlation adds 1e-8 to the product of the norms, which shrinks that of
    classes with probabilities below about 1e-4 in the whole batch; ours does not.
    A batch of one image has no correlation over images: its intra term is kd_weight gamma T^2.
    """

    temperature: float = 4.0
    ce_weight: float = 1.0
    kd_weight: float = 2.0
    beta: float = 1.0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        p_s = F.softmax(student.logits / self.temperature, dim=1)  # [B, K]
        p_t = F.softmax(teacher.logits.detach() / self.temperature, dim=1)  # [B, K]
        scale = self.kd_weight * self.temperature**2
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "inter": self.beta * scale * (1 - pearson(p_s, p_t, dim=1).mean()),
            "intra": self.gamma * scale * (1 - pearson(p_s, p_t, dim=0).mean()),
        }
