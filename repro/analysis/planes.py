"""Planes through three images (Somepalli et al., CVPR 2022) and what a network predicts on them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from repro.errors import UserError

WIDENING = 0.10  # the bounding box of the anchors, widened on each side by this share of its size


@dataclass(frozen=True)
class Plane:
    """``origin + alpha * u + beta * v`` in normalised input space, all [C, H, W].

    ``u`` and ``v`` are orthonormal; ``anchors`` [3, 2] are the coordinates (alpha, beta) of the
    three images.
    """

    origin: Tensor
    u: Tensor
    v: Tensor
    anchors: Tensor


def make_plane(x1: Tensor, x2: Tensor, x3: Tensor) -> Plane:
    """The plane through three images [C, H, W]: (0, 0), (|a|, 0) and (p, q) for a = x2 - x1.

    Raises UserError if the three lie on one line.
    """
    a, b = (x.double() - x1.double() for x in (x2, x3))
    length = a.norm()
    u = a / length
    p = (u * b).sum()
    rest = b - p * u
    q = rest.norm()
    if not (length > 0 and q > 1e-6 * b.norm()):
        raise UserError("three different images, not on one line, are needed to span a plane")
    zero = torch.zeros_like(p)
    anchors = torch.stack([torch.stack(c) for c in ((zero, zero), (length, zero), (p, q))])
    return Plane(x1, u.to(x1.dtype), (rest / q).to(x1.dtype), anchors.to(x1.dtype))


def extent(anchors: ArrayLike, margin: float = WIDENING) -> tuple[float, float, float, float]:
    """(left, right, bottom, top): the box of ``anchors`` [3, 2], ``margin`` of it wider a side."""
    points = np.asarray(anchors, dtype=np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    (left, bottom), (right, top) = low - margin * (high - low), high + margin * (high - low)
    return float(left), float(right), float(bottom), float(top)


def grid_points(plane: Plane, resolution: int, margin: float = WIDENING) -> Tensor:
    """Coordinates [R, R, 2] over ``extent``: rows run along beta, columns along alpha."""
    left, right, bottom, top = extent(plane.anchors.double().cpu(), margin)
    alpha, beta = (torch.linspace(*ends, resolution) for ends in ((left, right), (bottom, top)))
    return torch.stack(torch.meshgrid(alpha, beta, indexing="xy"), dim=2).to(plane.anchors)


def evaluate_plane(
    model: nn.Module, plane: Plane, *, resolution: int, batch_size: int = 250
) -> NDArray[np.float32]:
    """Softmax probabilities [R, R, K] of a network on a plane; see ``evaluate_planes``."""
    one = {"network": model}
    grids = evaluate_planes(one, [plane], resolution=resolution, batch_size=batch_size)
    return grids["network"][0]


@torch.inference_mode()
def evaluate_planes(
    models: dict[str, nn.Module],
    planes: Sequence[Plane],
    *,
    resolution: int,
    batch_size: int = 250,
) -> dict[str, NDArray[np.float32]]:
    """Softmax probabilities [P, R, R, K] of each network, whose batches run across the planes.

    Networks take [B, C, H, W] and return ``Outputs``; they are left in eval mode. Everything is on
    the planes' device. Memory: P x R x R x K floats a network.
    """
    for model in models.values():
        model.eval()
    parts: dict[str, list[Tensor]] = {name: [] for name in models}
    for images in plane_images(planes, resolution, batch_size):
        for name, model in models.items():
            parts[name].append(model(images).logits.float().softmax(dim=1).cpu())
    shape = (len(planes), resolution, resolution, -1)
    return {name: torch.cat(rows).reshape(shape).numpy() for name, rows in parts.items()}


def plane_images(planes: Sequence[Plane], resolution: int, batch_size: int) -> Iterator[Tensor]:
    """The images at all points, plane by plane and row by row: [B, C, H, W] in channels_last."""
    points = torch.cat([grid_points(p, resolution).reshape(-1, 2) for p in planes])
    channels, height, width = planes[0].origin.shape
    origin, u, v = (
        torch.stack([getattr(p, name).permute(1, 2, 0).flatten() for p in planes])
        for name in ("origin", "u", "v")
    )  # [P, H * W * C]
    for rows in torch.arange(len(points), device=origin.device).split(batch_size):
        which = rows // resolution**2
        alpha, beta = points[rows, :1], points[rows, 1:]
        flat = origin[which].addcmul_(alpha, u[which]).addcmul_(beta, v[which])
        yield flat.view(-1, height, width, channels).permute(0, 3, 1, 2)


def margin(model: nn.Module, x1: Tensor, x2: Tensor, steps: int = 50) -> float:
    """``margins`` of one segment."""
    return float(margins(model, x1[None], x2[None], steps=steps)[0])


@torch.inference_mode()
def margins(
    model: nn.Module, x1: Tensor, x2: Tensor, *, steps: int = 50, batch_size: int = 250
) -> NDArray[np.float64]:
    """The distance from x1 towards x2, in input-space units, to the first change of argmax: [J].

    ``x1``, ``x2`` [J, C, H, W]. ``steps`` points of a segment are tried, then as many inside the
    first step that changes, so a region narrower than |x2 - x1| / steps can be missed. ``inf`` if
    the argmax does not change up to x2: the margin is then only known to be longer, so report the
    share of such cases too.
    """
    model.eval()
    coarse = torch.linspace(0, 1, steps + 1, device=x1.device, dtype=x1.dtype).expand(len(x1), -1)
    predicted = _along(model, x1, x2, coarse, batch_size)
    changed = predicted != predicted[:, :1]
    first = changed.int().argmax(dim=1)  # of 0 and 1: the first 1, or 0
    found = np.full(len(x1), np.inf)
    which = torch.nonzero(first).flatten()
    if not len(which):
        return found
    high = coarse[which, first[which]]
    low = coarse[which, first[which] - 1]
    fine = low[:, None] + coarse[which] * (high - low)[:, None]
    fine[:, -1] = high
    later = _along(model, x1[which], x2[which], fine, batch_size) != predicted[which, :1]
    step = later.int().argmax(dim=1).clamp(min=1)
    step[~later.any(dim=1)] = steps  # rounding: it changed at the last point in the other batch
    ends = fine.gather(1, torch.stack([step - 1, step], dim=1))
    length = (x2[which] - x1[which]).flatten(1).double().norm(dim=1)
    found[which.cpu().numpy()] = (ends.double().mean(dim=1) * length).cpu().numpy()
    return found


def _along(model: nn.Module, x1: Tensor, x2: Tensor, shares: Tensor, batch_size: int) -> Tensor:
    """Predicted classes [J, S] at ``shares`` [J, S] of the way from x1 to x2."""
    which = torch.arange(len(x1), device=x1.device).repeat_interleave(shares.shape[1])
    parts = []
    for some, share in zip(
        which.split(batch_size), shares.flatten().split(batch_size), strict=True
    ):
        start, end = x1[some], x2[some]
        images = start + share.reshape(-1, 1, 1, 1) * (end - start)
        images = images.contiguous(memory_format=torch.channels_last)
        parts.append(model(images).logits.argmax(dim=1))
    return torch.cat(parts).reshape(shares.shape)


def random_triplets(labels: ArrayLike, count: int, seed: int) -> NDArray[np.int64]:
    """Positions [count, 3] of images of three different classes, the same for the same seed.

    The three classes are drawn evenly, then an image of each.
    """
    classes = np.asarray(labels)
    members = [np.flatnonzero(classes == c) for c in np.unique(classes)]
    if len(members) < 3:
        raise UserError(f"triplets need images of at least 3 classes, not {len(members)}")
    generator = np.random.default_rng(seed)
    triplets = [
        [generator.choice(members[c]) for c in generator.choice(len(members), 3, replace=False)]
        for _ in range(count)
    ]
    return np.array(triplets, dtype=np.int64).reshape(count, 3)
