"""The map of features and the numbers beside it."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from repro.analysis.embedding import (
    embedding,
    embedding_rows,
    neighbour_accuracy,
    shown_classes,
    silhouette,
)
from repro.errors import UserError

GENERATOR = np.random.default_rng(0)
LABELS = np.repeat([3, 5, 9], 12)
CENTRES = np.array([[4.0, 0, 0, 0], [0, 4, 0, 0], [0, 0, 4, 0]])
CLUSTERS = np.repeat(CENTRES, 12, axis=0) + GENERATOR.normal(0, 0.3, (36, 4))
MIXED = GENERATOR.normal(size=(36, 4))


def test_ten_classes_are_shown_at_equal_steps():
    assert shown_classes(100) == tuple(range(0, 100, 10))
    assert shown_classes(10) == tuple(range(10))
    assert shown_classes(7) == tuple(range(7))
    assert len(set(shown_classes(14))) == 10


@pytest.mark.parametrize("features", [CLUSTERS, MIXED], ids=["clusters", "mixed"])
@pytest.mark.parametrize("k", [1, 5])
def test_neighbours_vote_as_scikit_learn_s_leaving_one_out(features, k):
    hits = 0
    for i in range(len(features)):
        others = np.arange(len(features)) != i
        votes = KNeighborsClassifier(k).fit(features[others], LABELS[others])
        hits += votes.predict(features[i : i + 1])[0] == LABELS[i]
    assert neighbour_accuracy(features, LABELS, k) == pytest.approx(100 * hits / len(features))


def test_numbers_by_hand():
    assert neighbour_accuracy([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1], 1) == 100
    assert neighbour_accuracy([[0.0], [1.0], [10.0], [11.0]], [0, 1, 0, 1], 1) == 0
    # a = 1; b = 10.5 for the outer points, 9.5 for the inner ones
    expected = (2 * (1 - 1 / 10.5) + 2 * (1 - 1 / 9.5)) / 4
    found = silhouette([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1])
    assert found == pytest.approx(expected)


def test_a_map_is_the_same_again_and_keeps_clusters_apart():
    places = embedding(CLUSTERS)
    assert places.shape == (36, 2)
    assert np.array_equal(places, embedding(CLUSTERS))
    assert neighbour_accuracy(places, LABELS) == 100


def test_rows_hold_the_numbers_of_the_features_not_of_the_map():
    rows = embedding_rows(CLUSTERS, LABELS)
    assert rows["label"].tolist() == LABELS.tolist()
    assert set(rows["knn_top1"]) == {100}
    assert set(rows["silhouette"]) == {silhouette(CLUSTERS, LABELS)}


def test_too_few_images_are_refused():
    with pytest.raises(UserError, match="a map needs 4 images or more, not 3"):
        embedding(CLUSTERS[:3])
    with pytest.raises(UserError, match="5 neighbours of 4 images"):
        neighbour_accuracy(CLUSTERS[:4], LABELS[:4])
