"""Class attention transfer: for each class, where in the image the networks see it."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.errors import UserError
from repro.losses.checks import check_fields
from repro.losses.maps import full_precision, resized
from repro.outputs import Batch, Outputs

EPS = 1e-12  # below this norm a map has no direction; the eps of torch.nn.functional.normalize


@dataclass(frozen=True, kw_only=True)
class CATKD:
    """Guo et al. 2023, arXiv 2304.12777: CE + beta MSE of the class activation maps.

    A class's activation map is the sum of the last maps, weighed by the class's row of the
    classifier (without its bias): the mean over its pixels is the logit. The maps are averaged to
    ``resolution`` x ``resolution``, divided by their norm if ``normalize``, and compared. Gradients
    reach the student's classifier through its maps too.

    beta, resolution and normalisation by pair: GzyAftermath/CAT-KD configs/cifar100/CAT_KD/*.yaml
    at 4467073; the defaults are resnet32x4 and resnet8x4's. There the pairs of one architecture are
    not normalised and those of different architectures are (mdistiller/distillers/CAT_KD.py).

    DEVIATION: the released student's classifier, a 1x1 convolution before the average, has no bias
    (mdistiller/models/cifar), and its first weights are a convolution's; here the student is the
    benchmark's. A map of norm 0 stays 0; there its gradient is divided by 1e-12.
    """

    uses_features = True

    cam_weight: float = 15.0
    resolution: int = 2
    normalize: bool = False
    ce_weight: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self)
        if self.resolution == 0:
            raise UserError("CATKD.resolution must be 1 or more, not 0")

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        loss = F.mse_loss(self._activations(student), self._activations(teacher).detach())
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "cam": self.cam_weight * loss,
        }

    def _activations(self, outputs: Outputs) -> Tensor:
        """The class activation maps, flat: [B, K, resolution^2].

        The maps are averaged before they are weighed, which gives the same and is less work.
        """
        assert outputs.maps is not None
        assert outputs.classifier is not None
        weight, _ = outputs.classifier  # [K, D]
        maps = resized(full_precision(outputs.maps), self.resolution, self.resolution)
        activations = full_precision(weight) @ maps.flatten(2)  # [K, D] @ [B, D, r * r]
        return _normalize(activations) if self.normalize else activations


def _normalize(activations: Tensor) -> Tensor:
    """Every class's map over its Euclidean norm."""
    square = activations.square().sum(dim=2, keepdim=True)  # [B, K, 1]
    return activations / torch.where(square < EPS**2, 1.0, square).sqrt()
