"""Knowledge review: each stage of the teacher teaches the student's stages up to its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.losses.checks import check_fields
from repro.losses.layers import conv_bn
from repro.losses.maps import full_precision, paired
from repro.outputs import Batch, Outputs

MAX_WIDTH = 512  # of the fused maps; ReviewKD CIFAR-100/model/reviewkd.py at cede6ea
LEVELS = (4, 2, 1)  # sides of the averages that are compared too; ``hcl`` there


@dataclass(frozen=True, kw_only=True)
class ReviewKD:
    """Chen et al. 2021, arXiv 2104.09044: CE + w HCL(ABF(student), teacher), section 3.

    From the pooled features back to the first stage, an attention-based fusion (ABF) mixes the
    student's maps with what the deeper stages left, and a 3x3 convolution of the mixture is
    compared with the teacher's maps of that stage (the pooled features are maps of one pixel). The
    hierarchical context loss (HCL) of two maps is the weighted mean of squared differences: of the
    maps, then of their averages over 4 x 4, 2 x 2 and 1 x 1 parts (those levels that are smaller
    than the map), each with half the weight of the one before.

    As in dvlab-research/ReviewKD CIFAR-100/model/reviewkd.py and train.py at cede6ea: the student's
    features against the teacher's pre-activations, no stems, nearest interpolation of the deeper
    mixture to a stage's size and of the new mixture to the teacher's; w by pair
    (script/reviewKD.sh; 5 is resnet32x4 and resnet8x4), and a linear warm-up of 20 epochs.
    ``warmup_epochs=0``: none.

    DEVIATION: the warm-up counts epochs from 1 as mdistiller does
    (mdistiller/distillers/ReviewKD.py at a08d46f); the authors count from 0. No source pairs
    networks with unlike numbers of stages: here, as in ``maps.stage_pairs``, a last stage without a
    partner is left out.
    """

    uses_features = True

    review_weight: float = 5.0
    ce_weight: float = 1.0
    warmup_epochs: int = 20

    def __post_init__(self) -> None:
        check_fields(self)

    def at_epoch(self, epoch: int) -> "ReviewKD":
        """The loss of ``epoch`` (from 0): its weight times min((epoch + 1) / warm-up, 1)."""
        if self.warmup_epochs == 0:
            return self
        weight = min((epoch + 1) / self.warmup_epochs, 1.0)
        return replace(self, review_weight=weight * self.review_weight, warmup_epochs=0)

    def make_adapter(self, student: Outputs, teacher: Outputs, labels: Tensor) -> "Review":  # noqa: ARG002
        pairs = _pairs(student, teacher)
        return Review([a.shape[1] for a, _ in pairs], [b.shape[1] for _, b in pairs])

    def __call__(
        self, student: Outputs, teacher: Outputs, batch: Batch, adapter: nn.Module
    ) -> dict[str, Tensor]:
        own, targets = zip(*_pairs(student, teacher), strict=True)
        reviewed = adapter(own, [target.shape[2:] for target in targets])
        losses = [_context_loss(a - b) for a, b in zip(reviewed, targets, strict=True)]
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "review": self.review_weight * torch.stack(losses).sum(),
        }


class Review(nn.Module):
    """A fusion for each stage and for the pooled features, from the first stage."""

    def __init__(self, student_channels: Sequence[int], teacher_channels: Sequence[int]) -> None:
        super().__init__()
        width = min(MAX_WIDTH, student_channels[-1])
        last = len(student_channels) - 1
        self.fusions = nn.ModuleList(
            Fusion((own, width, target), fuses=i < last)
            for i, (own, target) in enumerate(zip(student_channels, teacher_channels, strict=True))
        )

    def forward(self, features: Sequence[Tensor], sizes: Sequence[torch.Size]) -> list[Tensor]:
        """The student's maps as the teacher's: of its channels and ``sizes``, from the first."""
        deeper, results = None, []
        for i in reversed(range(len(features))):
            result, deeper = self.fusions[i](features[i], deeper, sizes[i])
            results.append(result)
        return results[::-1]


class Fusion(nn.Module):
    """Attention-based fusion; ``channels``: the student's, those of the mixture, the teacher's.

    The initial weights are the source's: uniform with variance 1 / fan-in in the convolutions to
    and from the mixture, PyTorch's own in the attention.
    """

    def __init__(self, channels: tuple[int, int, int], *, fuses: bool) -> None:
        super().__init__()
        own, width, target = channels
        self.narrow = conv_bn(own, width)
        self.attention = nn.Conv2d(2 * width, 2, 1) if fuses else None
        self.widen = conv_bn(width, target, kernel=3)
        for layer in (*self.narrow, *self.widen):
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, a=1)

    def forward(
        self, maps: Tensor, deeper: Tensor | None, size: torch.Size
    ) -> tuple[Tensor, Tensor]:
        """``maps`` [B, C, h, w], the ``deeper`` mixture -> as the teacher's, and the mixture."""
        mixed = self.narrow(maps)  # [B, M, h, w]
        if self.attention is not None and deeper is not None:
            both = torch.cat((mixed, _nearest(deeper, mixed.shape[2:])), dim=1)  # [B, 2M, h, w]
            shares = self.attention(both).sigmoid()  # [B, 2, h, w]
            own, left = (both.unflatten(1, (2, -1)) * shares.unsqueeze(2)).unbind(dim=1)
            mixed = own + left  # keeps the channels last in memory; a sum over them would not
        mixed = _nearest(mixed, size)
        return self.widen(mixed), mixed


def _pairs(student: Outputs, teacher: Outputs) -> list[tuple[Tensor, Tensor]]:
    """The student's maps and the teacher's for each stage and pooled, in full precision."""
    stages = paired(student.features[1:], teacher.preactivations[1:])
    return [*stages, (_pooled(student), _pooled(teacher).detach())]


def _pooled(outputs: Outputs) -> Tensor:
    assert outputs.pooled is not None
    return full_precision(outputs.pooled)[:, :, None, None]  # [B, D, 1, 1]


def _nearest(maps: Tensor, size: torch.Size) -> Tensor:
    return maps if maps.shape[2:] == size else F.interpolate(maps, tuple(size), mode="nearest")


def _context_loss(difference: Tensor) -> Tensor:
    """HCL of two maps from their difference [B, C, h, w]: averaging is linear.

    A coarser level is taken from the finer one, which gives the same means: sides are powers of 2.
    """
    side = difference.shape[2]
    weight, weights, total = 1.0, 1.0, difference.square().mean()
    for level in (level for level in LEVELS if level < side):
        weight /= 2
        weights += weight
        difference = F.adaptive_avg_pool2d(difference, level)
        total = total + weight * difference.square().mean()
    return total / weights
