"""Accuracy under a small adversarial attack: projected gradient descent in pixel space.

Madry et al. 2018, arXiv 1706.06083, section 2.1: maximise the cross-entropy within an L-infinity
ball around the image. Networks trained without it fall at 8/255, so the radii here are smaller.
"""

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

from repro.analysis.answers import Draw, Normalisation, Pixels, accuracy, by_image, device_of
from repro.data.batches import evaluation_batch_size
from repro.errors import UserError

RADII = (1, 2, 4)  # of 255
STEPS = 10
STEP_SHARE = 0.25  # of the radius, a step
COLUMNS = ("radius", "top1", "images")


def attacked(
    model: nn.Module,
    shares: Tensor,
    *,
    labels: Tensor,
    radius: float,
    start: Tensor,
    to: Normalisation,
) -> Tensor:
    """Images [B, 3, H, W] within ``radius`` of ``shares`` in every pixel, all in [0, 1].

    ``shares``: float32 in [0, 1]. ``start`` of the same shape in [-1, 1]: the first point is
    shares + radius * start. After it ``STEPS`` steps along the sign of the gradient of the
    cross-entropy, taken through the normalisation; the last point is returned, whether or not one
    before it was better. The network is left in eval mode, without gradients of its own.
    """
    model.eval()
    low, high = (shares - radius).clamp(min=0), (shares + radius).clamp(max=1)
    found = torch.clamp(shares + radius * start, low, high)
    for _ in range(STEPS):
        found.requires_grad_()
        loss = F.cross_entropy(model(to.of_shares(found)).logits.float(), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, found)
        moved = found.detach() + STEP_SHARE * radius * gradient.sign()
        found = torch.clamp(moved, low, high)
    return found.detach()


def attack_rows(
    model: nn.Module, images: Pixels, *, labels: ArrayLike, to: Normalisation, seed: int = 0
) -> pd.DataFrame:
    """One network: a row a radius (in 1/255; 0: no attack), with top1 in percent and images.

    ``images`` [N, H, W, 3] uint8. The start of image i comes from (seed, i) alone, so every network
    is attacked from the same points. Raises UserError for images of another kind.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        raise UserError(f"images must be [N, H, W, 3] uint8, not {images.shape} {images.dtype}")
    device = device_of(model)
    shares = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    start = torch.from_numpy(by_image(len(images), seed, _uniform(tuple(shares.shape[1:]))))
    targets = torch.as_tensor(np.asarray(labels), dtype=torch.int64)
    rows = []
    for radius in (0, *RADII):
        logits = []
        size = evaluation_batch_size(device)
        for x, s, y in zip(*(t.split(size) for t in (shares, start, targets)), strict=True):
            given = {"labels": y.to(device), "radius": radius / 255, "start": s.to(device)}
            x = x.to(device, memory_format=torch.channels_last)
            found = attacked(model, x, **given, to=to) if radius else x
            with torch.inference_mode():
                logits.append(model.eval()(to.of_shares(found)).logits.float().cpu())
        rows.append((radius, accuracy(torch.cat(logits), targets), len(images)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _uniform(shape: tuple[int, ...]) -> Draw:
    return lambda generator: generator.uniform(-1, 1, shape).astype(np.float32)
