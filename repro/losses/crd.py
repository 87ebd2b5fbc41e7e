"""Contrastive representation distillation."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from repro.errors import UserError
from repro.losses.checks import check_fields
from repro.losses.embedding import Embeddings, unit_rows
from repro.losses.negatives import Negatives
from repro.outputs import Batch, Outputs

EPS = 1e-7  # beside m / N in the denominators: RepDistiller crd/criterion.py at b84f547


@dataclass(frozen=True, kw_only=True)
class CRD:
    """Tian et al. 2020, arXiv 1910.10699: CE + crd_weight (NCE of the student + of the teacher).

    Both networks' pooled features are mapped linearly to ``dim`` numbers and divided by their norm
    (v). Two memories keep such a vector of every training image (m). The student's v is scored
    against the teacher's memories, the teacher's against the student's, of the image itself (0) and
    of K = ``negatives`` images of other classes (1, ..., K), with N images in all:

        P_k = exp(v m_k / temperature) / Z,    a = K / N
        NCE = mean over the batch of -log(P_0 / (P_0 + a + eps)) - sum_k log(a / (P_k + a + eps))

    Then the memory of each image of the batch becomes memory_momentum m + (1 - memory_momentum) v,
    divided by its norm; only where gradients are enabled. The NCE of the teacher trains its
    embedding alone. Values, and Z = N mean exp(v m / temperature) in the first batch, one for each
    direction: RepDistiller crd/{criterion,memory}.py, train_student.py and
    scripts/run_cifar_distill.sh at b84f547. Z is not in the paper's critic.

    DEVIATION: negatives are drawn with replacement; the source draws 16,384 of CIFAR-100's 49,500
    without (and with, where there are fewer images than that, as here). They follow from a counter
    (``Negatives``), not from a generator.

    The scores are taken from the product with the whole memory: no [B, 1 + K, dim] is gathered.
    """

    uses_features = True
    keeps_memory = True

    crd_weight: float = 0.8
    ce_weight: float = 1.0
    temperature: float = 0.07
    negatives: int = 16384
    memory_momentum: float = 0.5
    dim: int = 128

    def __post_init__(self) -> None:
        check_fields(self)
        for name in ("negatives", "dim"):
            if getattr(self, name) < 1:
                raise UserError(f"CRD.{name} must be 1 or more, not {getattr(self, name)}")
        if self.memory_momentum > 1:
            raise UserError(f"CRD.memory_momentum must be 0 to 1, not {self.memory_momentum}")

    def make_adapter(self, student: Outputs, teacher: Outputs, labels: Tensor) -> "Contrast":
        embeddings = Embeddings(student, teacher, self.dim)
        return Contrast(embeddings, labels, dim=self.dim, negatives=self.negatives)

    def __call__(
        self, student: Outputs, teacher: Outputs, batch: Batch, adapter: "Contrast"
    ) -> dict[str, Tensor]:
        own, target = (unit_rows(v) for v in adapter.embeddings(student, teacher))  # [B, dim]
        anchors = torch.stack((target, own))  # [2, B, dim]: the student's memory is the first
        of_teacher, of_student = adapter.contrast(anchors, batch.indices, self.temperature)
        if torch.is_grad_enabled():
            adapter.remember(torch.stack((own, target)), batch.indices, self.memory_momentum)
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "nce_student": self.crd_weight * of_student,
            "nce_teacher": self.crd_weight * of_teacher,
        }


class Contrast(nn.Module):
    """CRD's embeddings, and its memories [2, N, dim]: the student's, then the teacher's.

    ``log_z`` [2]: of the scores with each of them; set in the first step.
    """

    memory: Tensor
    log_z: Tensor

    def __init__(self, embeddings: Embeddings, labels: Tensor, *, dim: int, negatives: int) -> None:
        super().__init__()
        self.embeddings = embeddings
        bound = math.sqrt(3 / dim)  # as crd/memory.py: 1 / sqrt(dim / 3)
        self.register_buffer("memory", torch.empty(2, len(labels), dim).uniform_(-bound, bound))
        self.register_buffer("log_z", torch.zeros(2))
        self.negatives = Negatives(labels, negatives)

    def contrast(self, anchors: Tensor, indices: Tensor, temperature: float) -> Tensor:
        """The NCE [2] of ``anchors`` [2, B, dim], the images ``indices`` [B], with the memories."""
        value, gradient = self._nce(anchors.detach(), indices, temperature)
        return _WithGradient.apply(anchors, value, gradient)

    @torch.no_grad()
    def remember(self, vectors: Tensor, indices: Tensor, momentum: float) -> None:
        """Move the images' memories towards ``vectors`` [2, B, dim]; the end of a step."""
        rows = unit_rows(torch.lerp(vectors, self.memory[:, indices], momentum))
        self.memory.index_copy_(1, indices, rows)
        self.negatives.step.add_(1)

    def _nce(self, anchors: Tensor, indices: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """The NCE [2], and its gradient [2, B, dim] in closed form.

        With x = v m / temperature - log((a + eps) Z) the terms are softplus(-x) of the image itself
        and softplus(x) + log(1 + eps / a) of a negative, and softplus(-x) = softplus(x) - x.
        """
        count, images = self.negatives.count, self.memory.shape[1]
        chosen = torch.cat((indices[:, None], self.negatives(indices)), dim=1).expand(2, -1, -1)
        products = anchors @ self.memory.mT  # [2, B, N]
        x = products.gather(2, chosen).div_(temperature)  # [2, B, 1 + K]
        share = count / images
        x -= (self._normaliser(x) + math.log(share + EPS))[:, None, None]
        value = F.softplus(x).sum(2) - x[:, :, 0] + count * math.log1p(EPS / share)  # [2, B]
        slopes = x.sigmoid_()
        slopes[:, :, 0] -= 1
        slopes /= temperature * len(indices)
        return value.mean(1), products.zero_().scatter_add_(2, chosen, slopes) @ self.memory

    def _normaliser(self, scores: Tensor) -> Tensor:
        """log Z [2], in the first step from the ``scores`` [2, B, 1 + K]."""
        offset = math.log(self.memory.shape[1] / scores[0].numel())
        first = scores.logsumexp((1, 2)) + offset
        log_z = torch.where(self.negatives.step == 0, first, self.log_z)
        if torch.is_grad_enabled():
            self.log_z.copy_(log_z)
        return log_z


class _WithGradient(torch.autograd.Function):
    """The value [2] of a function of x [2, ...] whose gradient is known already.

    Autograd would keep the memory for its backward pass, and it has changed by then.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, value: Tensor, gradient: Tensor) -> Tensor:  # noqa: ARG004
        ctx.save_for_backward(gradient)
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return grad[:, None, None] * gradient, None, None
