"""What a network returns and what a loss receives."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Outputs:
    """A network's outputs for a batch of B images; only the logits are required.

    ``logits`` [B, K] float32. ``features``: one [B, C, H, W] map for the stem and for each stage,
    after its last activation; ``preactivations``: the same maps before that activation.
    ``maps`` [B, D, H, W]: the last maps, whose mean over pixels is ``pooled`` [B, D], the input of
    the classifier. ``classifier``: its weight [K, D] and bias [K]: logits = pooled weight^T + bias.
    ``second``: the outputs for the batch's second view, where it has one.
    """

    logits: Tensor
    features: tuple[Tensor, ...] = ()
    preactivations: tuple[Tensor, ...] = ()
    pooled: Tensor | None = None
    maps: Tensor | None = None
    classifier: tuple[Tensor, Tensor] | None = None
    second: "Outputs | None" = None


@dataclass(frozen=True)
class Batch:
    """``images`` [B, 3, H, W] float32 normalised, ``labels`` [B] int64.

    ``indices`` [B] int64: the positions of the images in the sorted training set; ``views`` [B]
    int64: the numbers of the views that the batch shows (``repro.data.augment.view``).
    ``second`` [B, 3, H, W]: the images in another, stronger augmentation (``Stream.second_view``).
    """

    images: Tensor
    labels: Tensor
    indices: Tensor
    views: Tensor
    second: Tensor | None = None
