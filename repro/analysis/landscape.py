"""The loss around a finished network, on a plane of its weights (Li et al. 2018, arXiv 1712.09913).

Two random Gaussian directions, each filter scaled to the norm of the network's own filter (their
section 4), so that networks with larger weights do not look flatter.
"""

import copy

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.analysis.answers import Normalisation, device_of
from repro.data.batches import evaluation_batch_size
from repro.errors import UserError

REACH = 1.0  # the axes run from -1 to 1, as in the paper's figures
NEAR = 1.0  # nats above the network's own loss that count as near it; ours
COLUMNS = ("alpha", "beta", "loss", "top1")

Direction = dict[str, Tensor]


def random_direction(model: nn.Module, generator: torch.Generator) -> Direction:
    """A tensor for each parameter, by name, on the parameter's device.

    Of weights of two or more dimensions (convolutions, linear layers): Gaussian, each filter (the
    slice of one output channel) with the norm of the network's. Biases and BatchNorms: zero.
    ``generator`` is the CPU's; networks of one architecture get the same draws.
    """
    found = {}
    for name, weight in model.named_parameters():
        if weight.dim() < 2:
            found[name] = torch.zeros_like(weight)
            continue
        drawn = torch.randn(weight.shape, generator=generator)
        own = weight.detach().cpu().float().flatten(1).norm(dim=1)
        scale = own / drawn.flatten(1).norm(dim=1).clamp(min=1e-10)
        scaled = drawn * scale.reshape(-1, *[1] * (weight.dim() - 1))
        found[name] = scaled.to(weight.device, weight.dtype)
    return found


@torch.inference_mode()
def landscape(
    model: nn.Module,
    pixels: Tensor,
    labels: Tensor,
    *,
    to: Normalisation,
    side: int,
    seed: int = 0,
) -> pd.DataFrame:
    """A row a point: alpha, beta in [-1, 1], mean cross-entropy (nats) and top1 (percent).

    ``side`` x ``side`` points, alpha the slower; the weights are w + alpha d1 + beta d2. ``pixels``
    [N, H, W, 3] uint8, ``labels`` [N]. An odd ``side`` has the network itself in its middle. The
    network stays as it is; BatchNorms keep their statistics. Raises UserError for a side below 3.
    """
    if side < 3 or side % 2 == 0:
        raise UserError(f"a landscape needs an odd number of points a side from 3 on, not {side}")
    generator = torch.Generator().manual_seed(seed)
    first, second = (random_direction(model, generator) for _ in range(2))
    device = device_of(model)
    images, targets = to.of_pixels(pixels.to(device)), labels.to(device)
    moved = copy.deepcopy(model).eval()
    axis = np.linspace(-REACH, REACH, side).tolist()
    rows = []
    for alpha in axis:
        for beta in axis:
            for (name, own), place in zip(
                model.named_parameters(), moved.parameters(), strict=True
            ):
                place.copy_(own + alpha * first[name] + beta * second[name])
            rows.append((alpha, beta, *_scores(moved, images, targets)))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _scores(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, float]:
    size = evaluation_batch_size(images.device)
    logits = torch.cat([model(part).logits.float() for part in images.split(size)])
    hits = (logits.argmax(dim=1) == labels).float().mean()
    return float(F.cross_entropy(logits, labels)), float(hits * 100)


def near_share(rows: pd.DataFrame) -> tuple[float, float]:
    """The network's own loss, and the share of the plane's points less than ``NEAR`` above it."""
    own = rows[(rows["alpha"] == 0) & (rows["beta"] == 0)]["loss"]
    loss = float(own.iloc[0])
    return loss, float((rows["loss"] < loss + NEAR).mean())
