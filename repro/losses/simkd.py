"""The teacher's classifier answers for the student, whose features are made like the teacher's."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import UserError
from repro.losses.checks import check_fields
from repro.losses.layers import conv_bn
from repro.losses.maps import full_precision, resized, to_smaller
from repro.outputs import Batch, Outputs

Maps = Literal["last", "stage"]


@dataclass(frozen=True, kw_only=True)
class SimKD:
    """Chen et al. 2022, arXiv 2203.14001: the mean squared error of projected and teacher's maps.

    A projector (1x1, 3x3 and 1x1 convolutions, each with BatchNorm and ReLU; the inner channels are
    the teacher's over ``factor``) follows the student's last maps; their mean over pixels goes
    through the teacher's frozen classifier, in training and ever after. Labels teach nothing:
    ``ce_weight`` is 0. Larger student's maps are averaged to the teacher's size before the
    projector, larger teacher's maps to the student's size in the loss.

    Weights and factor: DefangChen/SimKD scripts/run_distill.sh (-c 0 -d 0 -b 1), train_student.py
    (factor 2); the projector and the sizes: models/util.py; all at d0b9cde.

    DEVIATION: ``student_maps`` are the "last" ones, what the student's own classifier averages
    (the paper keeps all of the student but the classifier). "stage", as released: the last stage's
    features, in MobileNetV2 and ShuffleV2 without the 1x1 convolution after it, in a wide ResNet
    before its last BatchNorm (the authors train no wide ResNet, but basic ResNets as wide).
    """

    uses_features = True
    deploys = True

    feature_weight: float = 1.0
    ce_weight: float = 0.0
    factor: int = 2
    student_maps: Maps = "last"

    def __post_init__(self) -> None:
        check_fields(self)
        if self.factor == 0:
            raise UserError("SimKD.factor must be 1 or more, not 0")

    def make_adapter(self, student: Outputs, teacher: Outputs, labels: Tensor) -> "Projector":  # noqa: ARG002
        return Projector(student, teacher, factor=self.factor, student_maps=self.student_maps)

    def __call__(
        self,
        student: Outputs,
        teacher: Outputs,
        batch: Batch,
        adapter: nn.Module,  # noqa: ARG002
    ) -> dict[str, Tensor]:
        """``student``: what the adapter's ``deploy`` made of its outputs."""
        assert student.maps is not None
        assert teacher.maps is not None
        own, target = to_smaller(full_precision(student.maps), full_precision(teacher.maps))
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "feature": self.feature_weight * F.mse_loss(own, target.detach()),
        }


class Projector(nn.Module):
    """Makes the student's maps the teacher's, and classifies as the teacher does.

    The teacher's ``weight`` [K, D] and ``bias`` [K] are buffers: not trained, stored exactly.
    """

    weight: Tensor
    bias: Tensor

    def __init__(
        self, student: Outputs, teacher: Outputs, *, factor: int, student_maps: Maps
    ) -> None:
        super().__init__()
        assert teacher.maps is not None
        assert teacher.classifier is not None
        self.student_maps = student_maps
        _, width, self.height, self.width = teacher.maps.shape
        inner = width // factor
        self.layers = nn.Sequential(
            conv_bn(self._maps(student).shape[1], inner),
            nn.ReLU(inplace=True),
            conv_bn(inner, inner, kernel=3),
            nn.ReLU(inplace=True),
            conv_bn(inner, width),
            nn.ReLU(inplace=True),
        )
        weight, bias = teacher.classifier
        self.register_buffer("weight", weight.detach().clone())
        self.register_buffer("bias", bias.detach().clone())

    def deploy(self, outputs: Outputs) -> Outputs:
        """The student's outputs with projected maps and the teacher's classifier on them."""
        maps = self._maps(outputs)
        height, width = min(self.height, maps.shape[2]), min(self.width, maps.shape[3])
        maps = self.layers(full_precision(resized(maps, height, width)))  # [B, D, h, w]
        pooled = maps.mean(dim=(2, 3))  # [B, D]
        return replace(
            outputs,
            logits=self._classify(pooled),
            maps=maps,
            pooled=pooled,
            classifier=(self.weight, self.bias),
        )

    def _maps(self, outputs: Outputs) -> Tensor:
        if self.student_maps == "stage":
            return outputs.features[-1]
        assert outputs.maps is not None
        return outputs.maps

    def _classify(self, pooled: Tensor) -> Tensor:
        """Logits in the classifier's precision (float32) even under autocast."""
        if pooled.is_meta:  # there is no autocast on the meta device
            return F.linear(pooled, self.weight, self.bias)
        with torch.autocast(pooled.device.type, enabled=False):
            return F.linear(pooled.to(self.weight.dtype), self.weight, self.bias)
