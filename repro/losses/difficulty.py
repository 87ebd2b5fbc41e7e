"""How hard each image of a batch is, in [0, 1]: what CMKD's dynamic weights follow."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.losses.soft_rank import sign_sums

Difficulty = Literal[
    "teacher_entropy_rank",
    "teacher_entropy",
    "label_probability",
    "teacher_cross_entropy",
    "student_entropy",
]


@torch.no_grad()
def difficulty(
    kind: Difficulty, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor
) -> Tensor:
    """[B] in [0, 1], detached, from the softmax of the raw logits [B, K] at temperature 1.

    teacher_entropy_rank    average rank of the teacher's entropy H in the batch, scaled to [0, 1]
    teacher_entropy         H / log K; nearly 0 for a teacher on its own training images
    label_probability       1 - the teacher's probability of the label
    teacher_cross_entropy   the teacher's cross-entropy, from 0 (batch's least) to 1 (its largest)
    student_entropy         the student's entropy / log K
    """
    match kind:
        case "teacher_entropy_rank":
            return _scaled_rank(_entropy(teacher_logits))
        case "teacher_entropy":
            return _entropy_share(teacher_logits)
        case "label_probability":
            p = F.softmax(teacher_logits, dim=1)
            return 1 - p.gather(1, labels.unsqueeze(1)).squeeze(1)
        case "teacher_cross_entropy":
            return _scaled_value(F.cross_entropy(teacher_logits, labels, reduction="none"))
        case "student_entropy":
            return _entropy_share(student_logits)


def _entropy(logits: Tensor) -> Tensor:
    """[B, K] -> [B] in nats; rounding may leave [0, log K]."""
    log_p = F.log_softmax(logits, dim=1)
    return -(log_p.exp() * log_p).sum(1)


def _entropy_share(logits: Tensor) -> Tensor:
    """H / log K"""
    return (_entropy(logits) / math.log(logits.shape[1])).clamp(0, 1)


def _scaled_rank(values: Tensor) -> Tensor:
    """(rank - 1) / (B - 1), written about its centre: the mean is 1/2 always, as for B = 1."""
    return 0.5 + sign_sums(values) / (2 * max(values.shape[0] - 1, 1))


def _scaled_value(values: Tensor) -> Tensor:
    """(value - least) / (largest - least); 1/2 where all are equal."""
    least, largest = values.aminmax()
    scaled = (values - least) / (largest - least)
    return torch.where(largest > least, scaled, torch.full_like(scaled, 0.5))
