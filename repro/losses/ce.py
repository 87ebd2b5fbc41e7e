"""Training without a teacher."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from repro.losses.checks import check_fields
from repro.outputs import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class CE:
    """Cross-entropy on the hard labels: the student alone, and every teacher."""

    uses_teacher = False
    ce_weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002
        return {"ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels)}
