"""The overhaul of feature distillation: maps before the ReLU, compared where it matters."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.losses.checks import check_fields
from repro.losses.layers import conv_bn
from repro.losses.maps import full_precision, resized
from repro.outputs import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class OFD:
    """Heo et al. 2019, arXiv 1904.01866: CE + ofd_weight sum_l d(r(s_l), max(t_l, m)) / 2^(n - l).

    s_l, t_l: the maps before the last ReLU of stage l = 1..n; r: a 1x1 convolution and BatchNorm,
    trained along; m: a margin for each channel, the teacher's mean negative value E[t | t < 0]. d
    is the partial L2 distance, summed over channels and pixels and averaged over images: the
    squared difference, but 0 where the target is not positive and the student's is not above it.

    Weight 1e-3 and halving from the last stage: the authors' clovaai/overhaul-distillation
    CIFAR-100/{train_with_distillation,distiller}.py at 76344a8; mdistiller distillers/OFD.py and
    engine/cfg.py at a08d46f. Sizes and numbers of stages as in mdistiller: the teacher's maps are
    averaged to the student's size (or repeated), and the last stages are paired, no stems.

    DEVIATION: m is measured on the teacher's outputs for the probe batch (the first 256 training
    images, not augmented), one of the paper's two ways and the authors' advice where there is no
    BatchNorm (issue 7); a channel without negative values has m = 0. The released code
    computes m from the BatchNorm before, taken for a Gaussian (appendix A): a teacher's is folded
    away here, and in a ResNet it would be that of the residual branch alone. The authors' CIFAR
    code also leaves the teacher in training mode; here and in mdistiller it is in evaluation mode.
    """

    uses_features = True

    ofd_weight: float = 1e-3
    ce_weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def make_adapter(self, student: Outputs, teacher: Outputs, labels: Tensor) -> nn.Module:  # noqa: ARG002
        return nn.ModuleList(Connector(a, b) for a, b in _last_pairs(student, teacher))

    def __call__(
        self, student: Outputs, teacher: Outputs, batch: Batch, adapter: nn.ModuleList
    ) -> dict[str, Tensor]:
        pairs = _last_pairs(student, teacher)
        last = len(pairs) - 1
        losses = [
            connector(a, b) / 2 ** (last - i)
            for i, (connector, (a, b)) in enumerate(zip(adapter, pairs, strict=True))
        ]
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "ofd": self.ofd_weight * torch.stack(losses).sum(),
        }


class Connector(nn.Module):
    """Of one stage: the student's maps as the teacher's, the margin, and their distance."""

    margin: Tensor  # [C, 1, 1]

    def __init__(self, student: Tensor, teacher: Tensor) -> None:
        super().__init__()
        self.layers = conv_bn(student.shape[1], teacher.shape[1])
        weight = self.layers[0].get_parameter("weight")
        nn.init.kaiming_normal_(weight, mode="fan_out")  # as in the authors' distiller.py
        self.register_buffer("margin", mean_negative(teacher))

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Maps [B, C', h, w] and [B, C, H, W] before their ReLU -> 0-d."""
        target = torch.maximum(resized(teacher, *student.shape[2:]), self.margin)
        return partial_l2(self.layers(student), target)


def mean_negative(maps: Tensor) -> Tensor:
    """The mean of each channel's negative values, [B, C, H, W] -> [C, 1, 1]; 0 without any."""
    count = (maps < 0).sum(dim=(0, 2, 3)).clamp(min=1)
    return (maps.clamp(max=0).sum(dim=(0, 2, 3)) / count)[:, None, None]


def partial_l2(student: Tensor, target: Tensor) -> Tensor:
    """Of [B, C, h, w]: summed squared differences an image, where either is to be corrected."""
    difference = student - target
    counts = (difference > 0) | (target > 0)
    return difference.square().mul(counts).sum() / len(student)


def _last_pairs(student: Outputs, teacher: Outputs) -> list[tuple[Tensor, Tensor]]:
    """Pre-activations of the last stages that both have, in full precision."""
    own, theirs = student.preactivations[1:], teacher.preactivations[1:]
    count = min(len(own), len(theirs))
    return [
        (full_precision(a), full_precision(b.detach()))
        for a, b in zip(own[-count:], theirs[-count:], strict=True)
    ]
