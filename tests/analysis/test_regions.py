"""Pictures of decision regions, and their text."""

import numpy as np
import pytest
import torch

from repro.analysis.planes import evaluate_plane, grid_points, make_plane
from repro.analysis.regions import (
    STEPS,
    Picture,
    packed,
    picture_of,
    pictures,
    pictures_in,
    region_classes,
    region_rows,
    rows_of,
    sampling_step,
    unpacked,
)
from tests.analysis.conftest import LinearNetwork

SIDE = 7


@pytest.fixture
def network() -> LinearNetwork:
    torch.manual_seed(0)
    return LinearNetwork(5)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def drawn(network: LinearNetwork, images: torch.Tensor) -> list[Picture]:
    return pictures(network, [images[:3], images[3:]], [(3, 1, 2), (0, 4, 1)], SIDE)


def test_a_picture_is_what_the_network_answers(network, images, drawn):
    for i, (picture, labels) in enumerate(zip(drawn, [(3, 1, 2), (0, 4, 1)], strict=True)):
        plane = make_plane(*images[3 * i : 3 * i + 3])
        grid = evaluate_plane(network, plane, resolution=SIDE)
        assert np.array_equal(picture.predicted, grid.argmax(axis=-1))
        assert picture.probability == pytest.approx(grid.max(axis=-1), abs=0.5 / STEPS + 1e-6)
        assert picture.anchors == pytest.approx(plane.anchors.numpy())
        assert (picture.labels, picture.num_classes) == (labels, 5)


def test_a_picture_survives_as_text(drawn):
    rows = rows_of(drawn)
    assert rows["plane"].tolist() == [0, 1]
    for picture, again in zip(drawn, pictures_in(rows), strict=True):
        assert np.array_equal(picture.predicted, again.predicted)
        assert np.array_equal(picture.probability, again.probability)
        assert np.array_equal(picture.anchors, again.anchors)
        assert (picture.labels, picture.num_classes) == (again.labels, again.num_classes)


def test_classes_beyond_a_byte_and_half_precision_survive():
    assert unpacked(packed([0, 255, 999], "u2"), "u2").tolist() == [0, 255, 999]
    assert unpacked(packed([0.1, 2.5], "f2"), "f2").astype(float) == pytest.approx(
        [0.1, 2.5], rel=5e-4
    )


def test_region_rows_are_what_the_picture_shows(images, drawn):
    points = grid_points(make_plane(*images[:3]), SIDE)
    found = region_rows(drawn[0], step=3)
    assert len(found) == 3 * 3
    for i, row in enumerate(found.to_dict("records")):
        at = (3 * (i // 3), 3 * (i % 3))
        assert (row["alpha"], row["beta"]) == pytest.approx(points[at].tolist(), abs=6e-4)
        assert row["predicted"] == drawn[0].predicted[at]
        assert row["probability"] == pytest.approx(drawn[0].probability[at], abs=6e-5)
    assert len(region_rows(drawn[0])) == SIDE * SIDE


@pytest.mark.parametrize(("resolution", "step"), [(100, 1), (150, 1), (151, 2), (500, 4)])
def test_pictures_are_thinned_only_above_the_most_points_a_side(resolution, step):
    assert sampling_step(resolution, 150) == step
    assert len(range(0, resolution, step)) <= 150


def test_region_classes_are_the_anchors_then_the_most_frequent():
    predicted = np.array([[0, 0, 4], [5, 5, 5], [7, 2, 4]])
    one = picture_of(np.eye(8)[predicted], np.eye(3, 2), [2, 1, 3])
    assert region_classes([one], count=2) == (2, 1, 3, 5, 0)
