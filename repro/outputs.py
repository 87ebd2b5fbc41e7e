"""What a network returns and what a loss receives."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """A network's outputs for a batch of B images; only the logits are required.

    ``logits`` [B, K] float32. ``features``: one [B, C, H, W] map for the stem and for each stage,
    after its last activation; ``preactivations``: the same maps before that activation.
    ``pooled`` [B, D]: the input of the classifier.
    """

    logits: Tensor
    features: tuple[Tensor, ...] = ()
    preactivations: tuple[Tensor, ...] = ()
    pooled: Tensor | None = None


@dataclass(frozen=True)
class Batch:
    """``images`` [B, 3, H, W] float32 normalised, ``labels`` [B] int64.

    ``indices`` [B] int64: the positions of the images in the sorted training set; ``views`` [B]
    int64: the numbers of the views that the batch shows (``repro.data.augment.view``).
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    views: Tensor
