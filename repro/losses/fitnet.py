"""Hints: a stage of the student learns to predict a stage of the teacher."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from repro.errors import UserError
from repro.losses.checks import check_fields
from repro.losses.layers import BatchNorm
from repro.losses.maps import full_precision
from repro.outputs import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class FitNet:
    """Romero et al. 2015, arXiv 1412.6550: CE + hint_weight MSE(r(student's maps), teacher's maps).

    The maps are ``features[hint_layer]`` on both sides, 0 being the stem; r is the regressor
    (``regressor``), trained along. The mean runs over images, channels and pixels.

    DEVIATION: the paper trains in two stages, the hint alone (equation 3: half the squared norm)
    up to the guided layer, and then the whole student with KD. Here both terms are trained
    together from the start and without KD, as in the benchmark whose numbers are quoted:
    RepDistiller at b84f547, helper/loops.py, scripts/run_cifar_distill.sh (weight 100, a = 0),
    train_student.py (layer 2); mdistiller at a08d46f, mdistiller/distillers/FitNet.py.
    """

    uses_features = True

    hint_weight: float = 100.0
    hint_layer: int = 2
    ce_weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)

    def make_adapter(self, student: Outputs, teacher: Outputs, labels: Tensor) -> nn.Module:  # noqa: ARG002
        """Raises UserError where a network has no such stage or no regressor fits."""
        layers = min(len(student.features), len(teacher.features))
        if self.hint_layer >= layers:
            raise UserError(
                f"FitNet.hint_layer must be below {layers}, the number of feature maps that both "
                f"networks have, not {self.hint_layer}"
            )
        return regressor(student.features[self.hint_layer], teacher.features[self.hint_layer])

    def __call__(
        self, student: Outputs, teacher: Outputs, batch: Batch, adapter: nn.Module
    ) -> dict[str, Tensor]:
        hint = full_precision(teacher.features[self.hint_layer].detach())
        guess = adapter(full_precision(student.features[self.hint_layer]))
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "hint": self.hint_weight * F.mse_loss(guess, hint),
        }


def regressor(student: Tensor, teacher: Tensor) -> nn.Module:
    """A convolution to the teacher's channels and size, BatchNorm and ReLU.

    3x3 with stride 2 where the student's maps have twice the teacher's size, transposed 4x4 with
    stride 2 where they have half of it; else a kernel that leaves the teacher's size, as in the
    paper's section 2.2 (1x1 for equal sizes). ConvReg in RepDistiller models/util.py at b84f547;
    its convolutions have a bias, which the BatchNorm takes away again. The ReLU stays where the
    teacher's maps are signed (the sums of a wide ResNet), as there.
    """
    channels = student.shape[1], teacher.shape[1]
    size, target = student.shape[2], teacher.shape[2]
    layer: nn.Module
    if size == 2 * target:
        layer = nn.Conv2d(*channels, 3, stride=2, padding=1, bias=False)
    elif 2 * size == target:
        layer = nn.ConvTranspose2d(*channels, 4, stride=2, padding=1, bias=False)
    elif size >= target:
        layer = nn.Conv2d(*channels, 1 + size - target, bias=False)
    else:
        raise UserError(
            f"FitNet has no regressor from {size} to {target} pixels; another FitNet.hint_layer may"
        )
    return nn.Sequential(layer, BatchNorm(teacher.shape[1]), nn.ReLU(inplace=True))
