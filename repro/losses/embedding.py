"""Vectors of a student and a teacher, one an image: pooled features, their linear embeddings."""

import torch
from torch import Tensor, nn

from repro.losses.maps import full_precision
from repro.outputs import Outputs


def pooled_pair(student: Outputs, teacher: Outputs) -> tuple[Tensor, Tensor]:
    """The pooled features [B, D] of both in full precision; the teacher's are detached."""
    assert student.pooled is not None
    assert teacher.pooled is not None
    return full_precision(student.pooled), full_precision(teacher.pooled.detach())


def unit_rows(x: Tensor) -> Tensor:
    """The rows (last dimension) divided by their norms; rows of zeros stay, with gradient 0.

    Nothing is added to a norm. ``F.normalize`` divides a row of zeros by 1e-12, and its gradient.
    """
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / norm.masked_fill(norm == 0, torch.inf)


class Embeddings(nn.Module):
    """Linear maps, one for each network, from the pooled features to ``dim`` numbers.

    Both are trained, the teacher's too: RepDistiller train_student.py at b84f547 gives them to the
    optimiser for CRD and CC. PyTorch's initial weights, as there (models/util.py, LinearEmbed).
    """

    def __init__(self, student: Outputs, teacher: Outputs, dim: int) -> None:
        super().__init__()
        own, target = pooled_pair(student, teacher)
        self.student = nn.Linear(own.shape[1], dim)
        self.teacher = nn.Linear(target.shape[1], dim)

    def forward(self, student: Outputs, teacher: Outputs) -> tuple[Tensor, Tensor]:
        """[B, dim] of the student and of the teacher."""
        own, target = pooled_pair(student, teacher)
        return self.student(own), self.teacher(target)
