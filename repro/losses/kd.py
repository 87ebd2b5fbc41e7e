"""Knowledge distillation by the Kullback-Leibler divergence of softened probabilities."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from repro.losses.checks import check_fields
from repro.outputs import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class KD:
    """Hinton et al. 2015, arXiv 1503.02531.

    Weights and temperature as in the CRD benchmark (RepDistiller, scripts/run_cifar_distill.sh,
    commit b84f547): 0.1 CE + 0.9 T^2 KL at T = 4.
    """

    temperature: float = 4.0
    ce_weight: float = 0.1
    kd_weight: float = 0.9

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        log_p = F.log_softmax(student.logits / self.temperature, dim=1)  # [B, K]
        q = F.softmax(teacher.logits.detach() / self.temperature, dim=1)  # [B, K]
        kl = F.kl_div(log_p, q, reduction="batchmean") * self.temperature**2
        ce = F.cross_entropy(student.logits, batch.labels)
        return {"ce": self.ce_weight * ce, "kd": self.kd_weight * kl}
