import numpy as np
import pytest
import torch

from repro.analysis.planes import (
    evaluate_plane,
    evaluate_planes,
    extent,
    grid_points,
    make_plane,
    margin,
    random_triplets,
)
from repro.errors import UserError
from tests.analysis.conftest import LinearNetwork


@pytest.fixture
def images():
    return torch.randn(12, 3, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LinearNetwork(5)


def test_anchors_map_back_to_the_three_images(images):
    plane = make_plane(*images[:3])
    for (alpha, beta), image in zip(plane.anchors.tolist(), images[:3], strict=True):
        assert torch.allclose(plane.origin + alpha * plane.u + beta * plane.v, image, atol=1e-5)


def test_the_axes_are_orthonormal_and_anchors_as_published(images):
    plane = make_plane(*images[:3])
    assert float(plane.u.norm()) == pytest.approx(1, abs=1e-6)
    assert float(plane.v.norm()) == pytest.approx(1, abs=1e-6)
    assert float((plane.u * plane.v).sum()) == pytest.approx(0, abs=1e-6)
    (x1, y1), (x2, y2), (_, y3) = plane.anchors.tolist()
    assert (x1, y1, y2) == (0, 0, 0)
    assert x2 == pytest.approx(float((images[1] - images[0]).norm()), rel=1e-6)
    assert y3 > 0


def test_images_on_one_line_span_no_plane(images):
    a, b = images[:2]
    for triple in ((a, b, (a + b) / 2), (a, a, b), (a, b, a)):
        with pytest.raises(UserError, match="not on one line"):
            make_plane(*triple)


def test_the_grid_is_the_bounding_box_widened_by_a_tenth(images):
    plane = make_plane(*images[:3])
    grid = grid_points(plane, 11)
    left, right, bottom, top = extent(plane.anchors)
    size = plane.anchors.amax(0) - plane.anchors.amin(0)
    assert grid.shape == (11, 11, 2)
    assert grid[0, 0].tolist() == pytest.approx([left, bottom])
    assert grid[0, -1].tolist() == pytest.approx([right, bottom])
    assert grid[-1, 0].tolist() == pytest.approx([left, top])
    assert [right - left, top - bottom] == pytest.approx((1.2 * size).tolist())


def test_probabilities_at_the_anchors_are_the_networks_own(images, network):
    # x3 above x1: the box is [0, |a|] x [0, q], and with margin 10 % and 13 points
    # the anchors are grid points 1 and 11 of both axes
    x1, x2 = images[0], images[1]
    v = images[2] - x1
    a = x2 - x1
    x3 = x1 + v - (v * a).sum() / a.norm() ** 2 * a
    probabilities = evaluate_plane(network, make_plane(x1, x2, x3), resolution=13, batch_size=50)
    network.eval()
    expected = network(torch.stack([x1, x2, x3])).logits.softmax(dim=1).detach().numpy()
    assert probabilities.shape == (13, 13, 5)
    found = probabilities[[1, 1, 11], [1, 11, 1]]
    assert found == pytest.approx(expected, abs=1e-5)


def test_planes_together_equal_each_alone_whatever_the_batch_size(images, network):
    planes = [make_plane(*images[i : i + 3]) for i in (0, 3, 6)]
    together = evaluate_planes({"a": network}, planes, resolution=7, batch_size=20)["a"]
    for plane, found in zip(planes, together, strict=True):
        alone = evaluate_plane(network, plane, resolution=7)
        assert found == pytest.approx(alone, abs=1e-6)


def test_evaluation_is_in_eval_mode_and_without_gradients(images, network):
    network.train()
    plane = make_plane(*images[:3])
    first = evaluate_plane(network, plane, resolution=5)
    assert not network.training
    assert np.array_equal(first, evaluate_plane(network, plane, resolution=5))
    assert all(p.grad is None for p in network.parameters())


def half_space(threshold: float) -> LinearNetwork:
    """Class 1 where the first pixel exceeds the threshold."""
    network = LinearNetwork(2)
    with torch.no_grad():
        network.classifier.weight.zero_()
        network.classifier.weight[1, 0] = 1.0
        network.classifier.bias.copy_(torch.tensor([0.0, -threshold]))
    return network


def test_margin_of_a_linear_network_is_known():
    x1, x2 = torch.zeros(3, 4, 4), torch.zeros(3, 4, 4)
    x2[0, 0, 0], x2[1, 0, 0] = 3.0, 4.0  # |x2 - x1| = 5; the boundary at 1/3 of the way
    assert margin(half_space(1.0), x1, x2, steps=50) == pytest.approx(5 / 3, abs=5 / 50**2)
    assert margin(half_space(2.99), x1, x2, steps=10) == pytest.approx(5 * 2.99 / 3, abs=5 / 10**2)


def test_margin_is_infinite_where_the_prediction_does_not_change():
    x1, x2 = torch.zeros(3, 4, 4), torch.ones(3, 4, 4)
    assert margin(half_space(1.5), x1, x2) == float("inf")


def test_triplets_are_of_three_classes_and_follow_the_seed():
    labels = np.repeat(np.arange(6), 10)
    triplets = random_triplets(labels, 200, seed=3)
    assert triplets.shape == (200, 3)
    assert all(len(set(labels[t])) == 3 for t in triplets)
    assert np.array_equal(triplets, random_triplets(labels, 200, seed=3))
    assert not np.array_equal(triplets, random_triplets(labels, 200, seed=4))
    assert np.array_equal(triplets[:50], random_triplets(labels, 50, seed=3))


def test_triplets_need_three_classes():
    with pytest.raises(UserError, match="at least 3 classes"):
        random_triplets([0, 1, 0, 1], 5, seed=0)
