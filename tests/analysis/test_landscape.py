"""Loss landscapes: filter norms, zero directions, the network itself in the middle."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from repro import models
from repro.analysis.answers import Normalisation, logits_of
from repro.analysis.landscape import landscape, near_share, random_direction
from repro.errors import UserError
from tests.analysis.conftest import LinearNetwork

TO = Normalisation(mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
GENERATOR = torch.Generator().manual_seed(0)
PIXELS = torch.randint(256, (20, 4, 4, 3), generator=GENERATOR, dtype=torch.uint8)
LABELS = torch.randint(5, (20,), generator=GENERATOR)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LinearNetwork(5)


def test_each_filter_of_a_direction_has_the_norm_of_the_network_s():
    model = models.build("resnet8", num_classes=10, seed=0)
    found = random_direction(model, torch.Generator().manual_seed(0))
    for name, weight in model.named_parameters():
        if weight.dim() < 2:
            assert not found[name].any(), name
        else:
            own, drawn = (x.detach().flatten(1).norm(dim=1) for x in (weight, found[name]))
            assert torch.allclose(own, drawn, rtol=1e-4), name
    assert any("classifier" in name for name in found)


def test_directions_are_gaussian_and_follow_the_generator(network):
    one, two = (random_direction(network, torch.Generator().manual_seed(s)) for s in (1, 1))
    other = random_direction(network, torch.Generator().manual_seed(2))
    weight = "classifier.weight"
    assert torch.equal(one[weight], two[weight])
    cosine = F.cosine_similarity(one[weight].flatten(), other[weight].flatten(), dim=0)
    assert abs(float(cosine)) < 0.3


def test_points_are_the_network_moved_along_both_directions(network):
    rows = landscape(network, PIXELS, LABELS, to=TO, side=5, seed=4)
    assert len(rows) == 25
    assert rows["alpha"].tolist()[:6] == [-1, -1, -1, -1, -1, -0.5]
    assert rows["beta"].tolist()[:5] == [-1, -0.5, 0, 0.5, 1]
    generator = torch.Generator().manual_seed(4)
    first, second = (random_direction(network, generator) for _ in range(2))
    moved = copy.deepcopy(network)
    with torch.no_grad():
        for name, weight in moved.named_parameters():
            weight.add_(0.5 * first[name] - 1.0 * second[name])
    logits = logits_of(moved, PIXELS, TO)
    (row,) = rows[(rows["alpha"] == 0.5) & (rows["beta"] == -1)].to_dict("records")
    assert row["loss"] == pytest.approx(float(F.cross_entropy(logits, LABELS)), rel=1e-5)
    assert row["top1"] == pytest.approx(float((logits.argmax(1) == LABELS).float().mean()) * 100)


def test_the_middle_is_the_network_itself_which_stays_as_it_is(network):
    before = copy.deepcopy(network.state_dict())
    rows = landscape(network, PIXELS, LABELS, to=TO, side=3)
    loss, share = near_share(rows)
    expected = F.cross_entropy(logits_of(network, PIXELS, TO), LABELS)
    assert loss == pytest.approx(float(expected), rel=1e-6)
    assert 0 < share <= 1
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    pd.testing.assert_frame_equal(rows, landscape(network, PIXELS, LABELS, to=TO, side=3))


def test_scaling_a_network_that_norms_undo_does_not_change_its_landscape():
    """Why filters are normalised: weights before a BatchNorm have no scale of their own."""
    model = models.build("resnet8", num_classes=5, seed=0)
    pixels = torch.randint(256, (8, 32, 32, 3), generator=GENERATOR, dtype=torch.uint8)
    with torch.no_grad():
        model.train()(TO.of_pixels(pixels))
    scaled = copy.deepcopy(model)
    with torch.no_grad():
        conv, norm = scaled.stages[0]
        conv.weight.mul_(4)
        norm.running_mean.mul_(4)
        norm.running_var.mul_(16)
        norm.eps *= 16
    first, second = (
        landscape(m, pixels, LABELS[:8], to=TO, side=3)["loss"] for m in (model, scaled)
    )
    assert np.allclose(first, second, rtol=1e-3)


def test_the_share_near_the_network_by_hand():
    rows = pd.DataFrame(
        {"alpha": [0, 0, 1.0, 1], "beta": [0, 1.0, 0, 1], "loss": [2.0, 2.9, 3.1, 9]}
    )
    assert near_share(rows) == (2.0, 0.5)


@pytest.mark.parametrize("side", [0, 1, 4])
def test_a_landscape_without_a_middle_is_refused(network, side):
    with pytest.raises(UserError, match=f"odd number of points a side from 3 on, not {side}"):
        landscape(network, PIXELS, LABELS, to=TO, side=side)
