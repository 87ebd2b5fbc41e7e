"""Relational distillation: distances between two images, angles between three."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from repro.losses.checks import check_fields
from repro.losses.embedding import pooled_pair, unit_rows
from repro.outputs import Batch, Outputs

EPS = 1e-12  # the smallest squared distance: lenscloth/RKD metric/utils.py at 0e0d3c2


@dataclass(frozen=True, kw_only=True)
class RKD:
    """Park et al. 2019, arXiv 1904.05068, with h the Huber loss (smooth L1):

        CE + distance_weight mean_ij  h(d_ij / mean d, d'_ij / mean d')
           + angle_weight    mean_ijk h(cos_ijk, cos'_ijk)

    d_ij: the distance of the pooled features of images i and j, its mean over i != j; cos_ijk: the
    cosine of the angle at i between j and k; d', cos' of the teacher. Weights 25 and 50 as in the
    authors' run_distill_classification.py for CIFAR-100 (lenscloth/RKD at 1927142) and in the
    benchmark (RepDistiller distiller_zoo/RKD.py at b84f547). The authors' script divides every
    feature vector by its norm before (``unit_features=True``), the benchmark does not.

    DEVIATION: as in both, means over all B^2 pairs and B^3 triplets stand for the paper's sums over
    those of distinct images. The others are 0 except for the angles with j = k, which are 1 in both
    networks, so the paper's sums are B^2 and B^3 times as large.

    Images closer than 1e-6 count as 1e-6 apart, as there. DEVIATION: their angles are 0, with
    gradient 0 (there they are multiplied by up to 1e12). Float64 inside: everything follows from
    the inner products, where float32 would cancel; no [B, B, D] is made.
    """

    uses_features = True

    distance_weight: float = 25.0
    angle_weight: float = 50.0
    ce_weight: float = 1.0
    unit_features: bool = False

    def __post_init__(self) -> None:
        check_fields(self)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        own, target = pooled_pair(student, teacher)
        if self.unit_features:
            own, target = unit_rows(own), unit_rows(target)
        s, t = _squared_distances(own), _squared_distances(target)  # [B, B]
        distance = F.smooth_l1_loss(_relative_distances(s), _relative_distances(t))
        angle = F.smooth_l1_loss(_cosines(s), _cosines(t))
        return {
            "ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels),
            "distance": self.distance_weight * distance.to(own.dtype),
            "angle": self.angle_weight * angle.to(own.dtype),
        }


def _squared_distances(x: Tensor) -> Tensor:
    """[B, D] -> [B, B] float64, with zeros in the diagonal."""
    x = x.double()
    products = x @ x.T
    norms = products.diagonal()
    return norms[:, None] + norms - 2 * products


def _relative_distances(squares: Tensor) -> Tensor:
    """Distances [B, B] divided by their mean over pairs of two images; zeros in the diagonal."""
    count = len(squares)
    pairs = 1 - torch.eye(count, dtype=squares.dtype, device=squares.device)
    distances = squares.clamp(min=EPS).sqrt() * pairs
    return distances * (max(count * (count - 1), 1) / distances.sum().clamp(min=EPS))


def _cosines(squares: Tensor) -> Tensor:
    """[B, B, B]: at image i (first) between j and k, by the law of cosines; 0 at distance 0."""
    inverse = (squares > EPS) * squares.clamp(min=EPS).rsqrt()  # [B, B]
    dots = squares[:, :, None] + squares[:, None, :] - squares  # twice the inner products
    return dots * (inverse[:, :, None] * (inverse / 2)[:, None, :])
