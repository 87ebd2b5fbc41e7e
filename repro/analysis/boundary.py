"""How complex and how ambiguous a network's decision regions are, in numbers over many planes."""

import math

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from torch import Tensor, nn

from repro.analysis.planes import Plane, evaluate_planes, make_plane, margin
from repro.errors import UserError

NUMBERS = ("fragmentation", "ambiguity", "agreement", "margin")
MINUS_KD = ("minus_kd", "minus_kd_low", "minus_kd_high")
POINTS_AT_ONCE = 20_000  # of several planes together: 8 MB a network at 100 classes


def fragmentation(labels_grid: ArrayLike) -> int:
    """The number of regions of a grid [R, R] of predicted classes; diagonal neighbours touch."""
    grid = np.asarray(labels_grid)
    touching = np.ones((3, 3), dtype=int)
    return sum(int(ndimage.label(grid == c, structure=touching)[1]) for c in np.unique(grid))


def ambiguity(probabilities: ArrayLike, gap: float = 0.1) -> float:
    """The share of points [..., K] whose two largest probabilities differ by less than ``gap``."""
    values = np.asarray(probabilities)
    top2 = np.partition(values, -2, axis=-1)[..., -2:]
    return float(np.mean(top2[..., 1] - top2[..., 0] < gap))


def agreement(a: ArrayLike, b: ArrayLike) -> float:
    """The share of points at which two grids of predicted classes agree."""
    return float(np.mean(np.asarray(a) == np.asarray(b)))


def plane_numbers(
    models: dict[str, nn.Module],
    images: Tensor,
    triplets: NDArray[np.int64],
    *,
    resolution: int = 50,
    batch_size: int = 250,
) -> pd.DataFrame:
    """One row a (name, triplet): the ``NUMBERS`` and whether the margin is ``censored``.

    ``images`` [N, C, H, W] normalised, on the networks' device; ``triplets`` [J, 3] positions in
    them. All networks see the same points. ``agreement`` is with ``teacher``. ``margin`` is
    measured from a triplet's first image x1 towards its second x2; where the prediction does not
    change up to x2 it is only known to be longer: it counts as |x2 - x1| and is ``censored``.
    Raises UserError if no network is named ``teacher``.
    """
    if "teacher" not in models:
        raise UserError(f"agreement needs a network named 'teacher'; known: {', '.join(models)}")
    at_once = max(1, POINTS_AT_ONCE // resolution**2)
    rows: list[dict[str, object]] = []
    for first in range(0, len(triplets), at_once):
        chunk = triplets[first : first + at_once]
        planes = [make_plane(*images[list(positions)]) for positions in chunk]
        grids = evaluate_planes(models, planes, resolution=resolution, batch_size=batch_size)
        for name, model in models.items():
            for i, plane in enumerate(planes):
                numbers = _numbers(grids[name][i], grids["teacher"][i])
                limited = _limited_margin(model, plane, resolution)
                rows.append({"name": name, "triplet": first + i} | numbers | limited)
    return pd.DataFrame(rows, columns=["name", "triplet", *NUMBERS, "censored"])


def _numbers(
    probabilities: NDArray[np.float32], teacher: NDArray[np.float32]
) -> dict[str, float | int]:
    predicted = probabilities.argmax(axis=-1)
    return {
        "fragmentation": fragmentation(predicted),
        "ambiguity": ambiguity(probabilities),
        "agreement": agreement(predicted, teacher.argmax(axis=-1)),
    }


def _limited_margin(model: nn.Module, plane: Plane, steps: int) -> dict[str, float | bool]:
    length = plane.anchors[1, 0]
    found = margin(model, plane.origin, plane.origin + length * plane.u, steps)
    censored = math.isinf(found)
    return {"margin": float(length) if censored else found, "censored": censored}


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
