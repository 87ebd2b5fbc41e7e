"""Decision regions as pictures: what a network predicts on planes through test images, and how
surely. A picture is kept as text of a few kilobytes, so that it can be drawn without the network.
"""

import base64
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from repro.analysis.planes import evaluate_planes, extent, make_plane

STEPS = 255  # of the probabilities that are kept: a pixel's own, so a picture loses nothing


@dataclass(frozen=True, eq=False)
class Picture:
    """One network on one plane of R x R points, rows along beta, columns along alpha.

    ``predicted`` [R, R]: classes. ``probability`` [R, R]: the largest softmax. ``anchors`` [3, 2]:
    the coordinates (alpha, beta) of the three images, ``labels`` their classes.
    """

    predicted: NDArray[np.int64]
    probability: NDArray[np.float64]
    anchors: NDArray[np.float64]
    labels: tuple[int, ...]
    num_classes: int

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """(left, right, bottom, top) of the points, in normalised input units."""
        return extent(self.anchors)


def pictures(
    model: nn.Module, images: Sequence[Tensor], labels: Sequence[Sequence[int]], resolution: int
) -> list[Picture]:
    """Of each plane through three ``images`` [3, C, H, W] with ``labels``, on their device."""
    planes = [make_plane(*three) for three in images]
    grids = evaluate_planes({"network": model}, planes, resolution=resolution)["network"]
    return [
        picture_of(grid, plane.anchors.double().cpu().numpy(), tuple(anchors))
        for grid, plane, anchors in zip(grids, planes, labels, strict=True)
    ]


def picture_of(
    probabilities: NDArray[np.float32], anchors: ArrayLike, labels: Sequence[int]
) -> Picture:
    """Of softmax probabilities [R, R, K], the largest rounded to ``STEPS``."""
    largest = np.rint(STEPS * probabilities.max(axis=-1).astype(float)) / STEPS
    return Picture(
        predicted=probabilities.argmax(axis=-1),
        probability=largest,
        anchors=np.asarray(anchors, float),
        labels=tuple(int(label) for label in labels),
        num_classes=probabilities.shape[-1],
    )


def rows_of(pictures: Sequence[Picture]) -> pd.DataFrame:
    """A row a picture, as text and numbers."""
    return pd.DataFrame([{"plane": i} | _row(picture) for i, picture in enumerate(pictures)])


def _row(picture: Picture) -> dict[str, Any]:
    shares = np.rint(STEPS * picture.probability)
    return {
        "side": len(picture.predicted),
        "num_classes": picture.num_classes,
        "labels": " ".join(map(str, picture.labels)),
        "anchors": " ".join(map(repr, picture.anchors.ravel().tolist())),
        "predicted": packed(picture.predicted, "u2"),
        "probability": packed(shares, "u1"),
    }


def pictures_in(rows: pd.DataFrame) -> list[Picture]:
    """The inverse of ``rows_of``."""
    return [_picture(row) for row in rows.to_dict("records")]


def _picture(row: dict[Any, Any]) -> Picture:
    shape = (row["side"], row["side"])
    return Picture(
        predicted=unpacked(row["predicted"], "u2").reshape(shape).astype(np.int64),
        probability=unpacked(row["probability"], "u1").reshape(shape) / STEPS,
        anchors=np.array(row["anchors"].split(), float).reshape(3, 2),
        labels=tuple(int(label) for label in row["labels"].split()),
        num_classes=int(row["num_classes"]),
    )


def packed(values: ArrayLike, kind: str) -> str:
    """Numbers as compressed text; ``kind``: NumPy's name of their type, little-endian."""
    content = np.asarray(values).astype(f"<{kind}").tobytes()
    return base64.b64encode(zlib.compress(content, 9)).decode()


def unpacked(words: str, kind: str) -> NDArray[Any]:
    return np.frombuffer(zlib.decompress(base64.b64decode(words)), f"<{kind}")


def region_classes(pictures: Sequence[Picture], count: int = 4) -> tuple[int, ...]:
    """The classes that get a colour: the three anchors, then the ``count`` next most frequent.

    ``pictures``: of one plane by all the networks to be shown side by side, so that a class has
    one colour in every panel.
    """
    predicted = np.concatenate([picture.predicted.ravel() for picture in pictures])
    classes, counts = np.unique(predicted, return_counts=True)
    frequent = classes[np.argsort(-counts, kind="stable")].tolist()
    anchors = pictures[0].labels
    others = [c for c in frequent if c not in anchors][:count]
    return (*dict.fromkeys(anchors), *others)


def sampling_step(resolution: int, most: int) -> int:
    """The smallest n for which every n-th of ``resolution`` points gives at most ``most``."""
    return math.ceil(resolution / most)


def region_rows(picture: Picture, *, step: int = 1) -> pd.DataFrame:
    """What a picture shows: alpha, beta, predicted, probability.

    One row for every ``step``-th point along both axes, row by row.
    """
    left, right, bottom, top = picture.extent
    side = len(picture.predicted)
    ends = (left, right), (bottom, top)
    alpha, beta = (np.linspace(low, high, side)[::step].round(3) for low, high in ends)
    shown = (slice(None, None, step),) * 2
    return pd.DataFrame(
        {
            "alpha": np.tile(alpha, len(beta)),
            "beta": np.repeat(beta, len(alpha)),
            "predicted": picture.predicted[shown].ravel(),
            "probability": picture.probability[shown].ravel().round(4),
        }
    )
