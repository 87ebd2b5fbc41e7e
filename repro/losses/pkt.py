"""Probabilistic knowledge transfer: each image's probabilities of being like the others."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.losses.checks import check_fields
from repro.losses.embedding import pooled_pair
from repro.outputs import Batch, Outputs

EPS = 1e-7  # added to norms and to probabilities: passalis/probabilistic_kt nn/pkt.py at bbca0b8


@dataclass(frozen=True, kw_only=True)
class PKT:
    """Passalis & Tefas 2018, arXiv 1803.10837: CE + pkt_weight KL(p || q) / B^2.

    With k_ij = (1 + cos(f_i, f_j)) / 2 of the pooled features f, p_ij = k_ij / sum_j k_ij of the
    teacher, q of the student: KL = sum_ij p_ij log(p_ij / q_ij).

    The authors' code (nn/pkt.py in passalis/probabilistic_kt at bbca0b8) and the benchmark's
    (RepDistiller distiller_zoo/PKT.py at b84f547) take the mean over the B^2 pairs and count i = j
    among them. The weight 30000 belongs to that (RepDistiller scripts/run_cifar_distill.sh).
    DEVIATION: the paper's sum over pairs is B^2 times our mean (its weight at B = 64 would be 7.3),
    and it leaves out i = j; ``with_itself=False`` does so too.
    """

    uses_features = True

    pkt_weight: float = 30000.0
    ce_weight: float = 1.0
    with_itself: bool = True

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        q, p = (self._probabilities(x) for x in pooled_pair(student, teacher))  # [B, B]
        divergence = (p * torch.log((p + EPS) / (q + EPS))).mean()
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "pkt": self.pkt_weight * divergence,
        }

    def _probabilities(self, features: Tensor) -> Tensor:
        """[B, D] -> [B, B], rows of sum 1; zeros where an image has no other to be like."""
        norm = torch.linalg.vector_norm(features, dim=1, keepdim=True)
        units = features / (norm + EPS)
        likeness = (units @ units.T + 1) / 2
        if not self.with_itself:
            likeness = likeness - likeness.diagonal().diag_embed()
        return likeness / likeness.sum(1, keepdim=True).clamp(min=EPS)
