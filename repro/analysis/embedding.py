"""A map of a network's penultimate features, and numbers of the features beside it.

t-SNE (van der Maaten and Hinton 2008) keeps neighbours and neither distances nor the sizes of
clusters: what the numbers say is measured in all dimensions, not on the map.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from repro.errors import UserError

CLASSES = 10  # that are shown
PERPLEXITY = 30.0  # scikit-learn's default; less where there are few images
NEIGHBOURS = 5


def shown_classes(num_classes: int, count: int = CLASSES) -> tuple[int, ...]:
    """Classes at equal steps through all of them: nobody has chosen them."""
    shown = min(count, num_classes)
    return tuple(i * num_classes // shown for i in range(shown))


def embedding(features: ArrayLike, *, random_state: int = 0) -> NDArray[np.float32]:
    """The map [N, 2] of features [N, D]: t-SNE that begins with the first principal components.

    Raises UserError for fewer than 4 images.
    """
    from sklearn.manifold import TSNE  # 1 s: only where needed

    values = np.asarray(features, dtype=np.float32)
    if len(values) < 4:
        raise UserError(f"a map needs 4 images or more, not {len(values)}")
    perplexity = min(PERPLEXITY, (len(values) - 1) / 3)
    places = TSNE(init="pca", perplexity=perplexity, random_state=random_state, n_jobs=1)
    return np.asarray(places.fit_transform(values), dtype=np.float32)


def neighbour_accuracy(features: ArrayLike, labels: ArrayLike, k: int = NEIGHBOURS) -> float:
    """Percent of images whose label most of their ``k`` nearest others have (Euclidean).

    Leave one out. Of labels that are equally frequent the smallest wins. Raises UserError where
    there are not ``k`` others.
    """
    values, classes = np.asarray(features, dtype=np.float64), np.asarray(labels)
    if not 1 <= k < len(values):
        raise UserError(f"{k} neighbours of {len(values)} images: 1 to {len(values) - 1} can be")
    square = (values**2).sum(axis=1)
    distances = square[:, None] + square - 2 * values @ values.T
    np.fill_diagonal(distances, np.inf)
    near = classes[np.argsort(distances, axis=1, kind="stable")[:, :k]]  # [N, k]
    votes = (near[:, :, None] == np.unique(classes)).sum(axis=1)
    winners = np.unique(classes)[votes.argmax(axis=1)]
    return float((winners == classes).mean() * 100)


def silhouette(features: ArrayLike, labels: ArrayLike) -> float:
    """The mean silhouette (Rousseeuw 1987) of the labels' groups, -1 to 1, Euclidean."""
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(np.asarray(features, dtype=np.float64), np.asarray(labels)))


def embedding_rows(
    features: ArrayLike, labels: ArrayLike, *, random_state: int = 0
) -> pd.DataFrame:
    """A row an image: label, x, y; in every row knn_top1 (percent) and silhouette of all."""
    places = embedding(features, random_state=random_state)
    return pd.DataFrame(
        {
            "label": np.asarray(labels),
            "x": places[:, 0].astype(float),
            "y": places[:, 1].astype(float),
            "knn_top1": neighbour_accuracy(features, labels),
            "silhouette": silhouette(features, labels),
        }
    )
