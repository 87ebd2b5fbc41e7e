"""Correlation congruence: the student's batch correlates as the teacher's does."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import UserError
from repro.losses.checks import check_fields
from repro.losses.embedding import Embeddings, pooled_pair, unit_rows
from repro.outputs import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class CC:
    """Peng et al. 2019, arXiv 1904.01802. CE + cc_weight times one of two things:

    released    mean_i sum_d |a_i - b_i|_d |a_i+1 - b_i+1|_d over neighbours i, i + 1 of the batch,
                a and b being linear embeddings of both networks' pooled features, ``dim`` numbers
                each, both trained (RepDistiller distiller_zoo/CC.py at b84f547, there said to be
                the authors' own code; weight 0.02 in scripts/run_cifar_distill.sh)
    paper       ||C_S - C_T||_F^2 / B^2, with C_ij = sum_{p <= order} c_p (f_i f_j)^p the Taylor
                polynomial of the Gaussian kernel exp(-gamma |f_i - f_j|^2) of pooled features f of
                norm 1: c_p = exp(-2 gamma) (2 gamma)^p / p!. ``gamma`` 0.4 and ``order`` 2: the
                defaults of AberHu/Knowledge-Distillation-Zoo train_kd.py at e8e298d. No adapter.

    DEVIATION: the default is not the paper's formula: published tables of CC on CIFAR-100 come from
    the released code, and we found no weight of the paper's formula for CIFAR-100. With
    ``formula="paper"`` choose ``cc_weight`` yourself; 0.02 belongs to the other one. The paper's
    own term of instances (KD) is left out, as in the benchmark.
    """

    uses_features = True

    cc_weight: float = 0.02
    ce_weight: float = 1.0
    formula: Literal["released", "paper"] = "released"
    dim: int = 128
    gamma: float = 0.4
    order: int = 2

    def __post_init__(self) -> None:
        check_fields(self)
        if self.dim < 1:
            raise UserError(f"CC.dim must be 1 or more, not {self.dim}")

    def make_adapter(
        self,
        student: Outputs,
        teacher: Outputs,
        labels: Tensor,  # noqa: ARG002
    ) -> Embeddings | None:
        return Embeddings(student, teacher, self.dim) if self.formula == "released" else None

    def __call__(
        self, student: Outputs, teacher: Outputs, batch: Batch, adapter: nn.Module | None
    ) -> dict[str, Tensor]:
        if adapter is None:
            own, target = pooled_pair(student, teacher)
            term = F.mse_loss(self._correlations(own), self._correlations(target))
        else:
            term = _neighbours(*adapter(student, teacher))
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "cc": self.cc_weight * term,
        }

    def _correlations(self, features: Tensor) -> Tensor:
        """[B, D] -> [B, B], by Horner's rule."""
        units = unit_rows(features)
        cosines = units @ units.T
        result = torch.ones_like(cosines)
        for p in range(self.order, 0, -1):
            result = 1 + result * cosines * (2 * self.gamma / p)
        return math.exp(-2 * self.gamma) * result


def _neighbours(own: Tensor, target: Tensor) -> Tensor:
    """Mean product of neighbours' distances; 0 for a batch of one image."""
    distances = (own - target).abs()  # [B, dim]
    return (distances[:-1] * distances[1:]).sum() / max(len(distances) - 1, 1)
