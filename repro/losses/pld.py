"""The likelihood of one ranking of the classes: the label first, then as the teacher has them."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from repro.losses.checks import check_fields
from repro.outputs import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class PLD:
    """Bassam, Zhu, Bian 2025 (NeurIPS), arXiv 2506.12542, with s the student's logits:

        sum_k a[pi_k] (logsumexp(s[pi_k], ..., s[pi_K]) - s[pi_k]),  a = softmax(z_teacher / T)

    pi is the label and then the other classes by falling teacher logits: the negative logarithm of
    pi's Plackett-Luce probability, each choice weighed by the teacher's trust in it. The first
    choice is a cross-entropy, so the paper adds none: ``ce_weight`` is 0. It names no other weight.
    T softens only the weights; there is no T^2 (appendix C). T = 4 on CIFAR-100 (section 5.1), 1 on
    ImageNet.

    Of classes with equal teacher logits the later one in class order is chosen first; the paper's
    code leaves that to an unstable sort.
    """

    temperature: float = 4.0
    ce_weight: float = 0.0
    pld_weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        teacher_logits = teacher.logits.detach()
        label_first = teacher_logits.scatter(1, batch.labels.unsqueeze(1), torch.inf)
        order = label_first.argsort(dim=1, stable=True)  # [B, K], chosen last ... chosen first
        log_weights = F.log_softmax(teacher_logits / self.temperature, dim=1).gather(1, order)
        ce = F.cross_entropy(student.logits, batch.labels)
        pld = _RankingLoss.apply(student.logits, order, log_weights)
        return {"ce": self.ce_weight * ce, "pld": self.pld_weight * pld}


class _RankingLoss(torch.autograd.Function):
    """The mean over the rows of sum_k a_k (R_k - s_k), R_k = log sum_{j <= k} exp(s_j), where row
    ``order`` of the logits is s and a = exp(log_weights).

    Its gradient exp(s_j) sum_{k >= j} a_k exp(-R_k) - a_j is found on the way: 20 operations and 2
    running logsumexps, most of the time, where autograd takes 35 and 3.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, order: Tensor, log_weights: Tensor) -> Tensor:
        s = logits.gather(1, order)
        s -= s.amax(1, keepdim=True)  # less rounding; the loss does not see it
        remaining = s.logcumsumexp(1)
        weights = log_weights.exp()
        earlier = (log_weights - remaining).flip(1).logcumsumexp(1).flip(1)
        slopes = (s + earlier).exp_().sub_(weights)
        ctx.save_for_backward(torch.empty_like(slopes).scatter_(1, order, slopes))
        return (weights * (remaining - s)).sum() / len(logits)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (slopes,) = ctx.saved_tensors
        return slopes * (grad / len(slopes)), None, None
