"""How complex and how ambiguous a network's decision regions are, in numbers over many planes."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from torch import Tensor, nn

from repro.analysis.planes import make_plane, margins, plane_images
from repro.data.batches import evaluation_batch_size
from repro.errors import UserError

NUMBERS = ("fragmentation", "ambiguity", "agreement", "margin")
MINUS_KD = ("minus_kd", "minus_kd_low", "minus_kd_high")
GAP = 0.1  # of the two largest probabilities, below which a point is ambiguous; ours


def fragmentation(labels_grid: ArrayLike) -> int:
    """The number of regions of a grid [R, R] of predicted classes; diagonal neighbours touch."""
    grid = np.asarray(labels_grid)
    touching = np.ones((3, 3), dtype=int)
    return sum(int(ndimage.label(grid == c, structure=touching)[1]) for c in np.unique(grid))


def ambiguity(probabilities: ArrayLike, gap: float = GAP) -> float:
    """The share of points [..., K] whose two largest probabilities differ by less than ``gap``."""
    values = np.asarray(probabilities)
    top2 = np.partition(values, -2, axis=-1)[..., -2:]
    return float(np.mean(top2[..., 1] - top2[..., 0] < gap))


def agreement(a: ArrayLike, b: ArrayLike) -> float:
    """The share of points at which two grids of predicted classes agree."""
    return float(np.mean(np.asarray(a) == np.asarray(b)))


@dataclass(frozen=True)
class PlaneAnswers:
    """One network on J planes of R x R points.

    ``predicted`` [J, R, R] int16: classes. ``ambiguous`` [J]: the share of points whose two largest
    probabilities differ by less than ``GAP``. ``margin`` [J]: from a triplet's first image towards
    its second; where the prediction does not change up to there it is the distance between the two,
    and ``censored`` [J] bool.
    """

    predicted: NDArray[np.int16]
    ambiguous: NDArray[np.float64]
    margin: NDArray[np.float64]
    censored: NDArray[np.bool_]


@torch.inference_mode()
def plane_answers(
    model: nn.Module, images: Tensor, triplets: NDArray[np.int64], *, resolution: int = 50
) -> PlaneAnswers:
    """What a network answers on the planes through ``triplets`` [J, 3], positions in ``images``.

    ``images`` [N, C, H, W] normalised, on the network's device; the network is left in eval mode.
    """
    model.eval()
    size = evaluation_batch_size(images.device)
    planes = [make_plane(*images[list(positions)]) for positions in triplets]
    predicted, close = [], []
    for points in plane_images(planes, resolution, size):
        top = model(points).logits.float().softmax(dim=1).topk(2)
        predicted.append(top.indices[:, 0].to(torch.int16).cpu())
        close.append((top.values[:, 0] - top.values[:, 1] < GAP).cpu())
    shape = (len(planes), resolution, resolution)
    x1, x2 = (images[triplets[:, i].tolist()] for i in (0, 1))
    found = margins(model, x1, x2, steps=resolution, batch_size=size)
    length = (x2 - x1).flatten(1).double().norm(dim=1).cpu().numpy()
    return PlaneAnswers(
        predicted=torch.cat(predicted).reshape(shape).numpy(),
        ambiguous=torch.cat(close).reshape(shape).double().mean(dim=(1, 2)).numpy(),
        margin=np.minimum(found, length),
        censored=np.isinf(found),
    )


def plane_rows(own: PlaneAnswers, teacher: PlaneAnswers) -> pd.DataFrame:
    """One row a triplet: triplet, the ``NUMBERS`` and ``censored``; ``agreement`` is with teacher.

    Raises UserError where the two were asked about different numbers of planes or points.
    """
    if own.predicted.shape != teacher.predicted.shape:
        shapes = f"{own.predicted.shape} and {teacher.predicted.shape}"
        raise UserError(f"networks are compared on the same planes and points, not {shapes}")
    return pd.DataFrame(
        {
            "triplet": np.arange(len(own.predicted)),
            "fragmentation": [fragmentation(grid) for grid in own.predicted],
            "ambiguity": own.ambiguous,
            "agreement": (own.predicted == teacher.predicted).mean(axis=(1, 2)),
            "margin": own.margin,
            "censored": own.censored,
        }
    )


def plane_numbers(
    models: dict[str, nn.Module],
    images: Tensor,
    triplets: NDArray[np.int64],
    *,
    resolution: int = 50,
) -> pd.DataFrame:
    """``plane_rows`` of each network beside ``teacher``, with ``name`` as the first column.

    Arguments as for ``plane_answers``: all networks see the same points. Raises UserError if no
    network is named ``teacher``.
    """
    if "teacher" not in models:
        raise UserError(f"agreement needs a network named 'teacher'; known: {', '.join(models)}")
    asked = {
        name: plane_answers(model, images, triplets, resolution=resolution)
        for name, model in models.items()
    }
    rows = [plane_rows(own, asked["teacher"]).assign(name=name) for name, own in asked.items()]
    return pd.concat(rows, ignore_index=True)[["name", "triplet", *NUMBERS, "censored"]]


def bootstrap_interval(
    values: ArrayLike, seed: int, resamples: int = 2000
) -> tuple[float, float, float]:
    """(mean, low, high): the percentile 95 % interval of the mean over planes.

    It describes one trained network on planes like these. A claim about a method needs the spread
    between trials as well: resampling planes alone is far too sure of itself.
    """
    data = np.asarray(values, dtype=float)
    draws = np.random.default_rng(seed).integers(0, len(data), size=(resamples, len(data)))
    low, high = np.quantile(data[draws].mean(axis=1), [0.025, 0.975])
    return float(data.mean()), float(low), float(high)


def plane_summary(numbers: pd.DataFrame, seed: int) -> pd.DataFrame:
    """From ``plane_numbers``: one row a (name, number), every network over the same planes.

    ``mean``, ``low``, ``high``: over ``planes`` planes. The margin's mean is a restricted one, of
    min(margin, |x2 - x1|): a lower bound, the looser the larger ``censored``, the share of planes
    whose margin is at that limit (NaN for the other numbers).
    ``minus_kd``, ``minus_kd_low``, ``minus_kd_high``: the mean and interval of a student's
    difference to ``kd``, plane by plane; NaN for ``teacher``, for ``kd`` and without a ``kd``.
    """
    by_number = {n: numbers.pivot(index="triplet", columns="name", values=n) for n in NUMBERS}
    censored = numbers.groupby("name")["censored"].mean()
    rows = []
    for name in dict.fromkeys(numbers["name"]):
        for number, values in by_number.items():
            mean, low, high = bootstrap_interval(values[name], seed)
            row = {"name": name, "number": number, "mean": mean, "low": low, "high": high}
            share = float(censored[name]) if number == "margin" else math.nan
            row |= {"planes": len(values), "censored": share}
            rows.append(row | _minus_kd(values, name, seed))
    return pd.DataFrame(rows)


def _minus_kd(values: pd.DataFrame, name: str, seed: int) -> dict[str, float]:
    """``values``: one number, a row a plane and a column a network."""
    if name in ("teacher", "kd") or "kd" not in values:
        return dict.fromkeys(MINUS_KD, math.nan)
    return dict(zip(MINUS_KD, bootstrap_interval(values[name] - values["kd"], seed), strict=True))
