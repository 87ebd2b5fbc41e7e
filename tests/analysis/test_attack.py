"""The attack against networks whose worst case is known."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from repro.analysis import attack
from repro.analysis.answers import Normalisation
from repro.analysis.attack import attack_rows, attacked
from repro.errors import UserError
from tests.analysis.conftest import LinearNetwork

TO = Normalisation(mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
GENERATOR = torch.Generator().manual_seed(0)
SHARES = torch.rand(40, 3, 4, 4, generator=GENERATOR)
START = torch.rand(40, 3, 4, 4, generator=GENERATOR) * 2 - 1


@pytest.fixture
def network():
    torch.manual_seed(1)
    return LinearNetwork(2)


def labels_of(network: LinearNetwork) -> torch.Tensor:
    return network.eval()(TO.of_shares(SHARES)).logits.argmax(dim=1)


@pytest.mark.parametrize("radius", [1 / 255, 0.1, 2.0])
def test_images_stay_in_the_ball_and_in_the_range(network, radius):
    found = attacked(network, SHARES, labels=labels_of(network), radius=radius, start=START, to=TO)
    assert float((found - SHARES).abs().max()) <= radius + 1e-6
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    assert not found.requires_grad
    assert all(p.grad is None for p in network.parameters())


def test_of_a_linear_network_the_worst_corner_is_found(network):
    """For two classes the worst point is x - radius * sign of the gradient of the margin."""
    radius, labels = 0.03, labels_of(network)
    found = attacked(network, SHARES, labels=labels, radius=radius, start=START, to=TO)
    weight = network.classifier.weight.detach()
    margin = (weight[0] - weight[1]).reshape(3, 4, 4)  # std > 0 leaves the sign
    towards = torch.where((labels == 0)[:, None, None, None], margin, -margin).sign()
    worst = (SHARES - radius * towards).clamp(0, 1)
    assert torch.allclose(found, worst, atol=1e-6)


def test_the_attack_raises_the_loss_where_random_points_hardly_do(network):
    labels = labels_of(network)
    found = attacked(network, SHARES, labels=labels, radius=0.05, start=START, to=TO)
    random = (SHARES + 0.05 * START).clamp(0, 1)
    clean, moved, worst = (
        F.cross_entropy(network(TO.of_shares(x)).logits, labels).item()
        for x in (SHARES, random, found)
    )
    assert worst - clean > 3 * abs(moved - clean)


PIXELS = (SHARES.permute(0, 2, 3, 1) * 255).round().to(torch.uint8).numpy()


def test_rows_by_radius_are_the_same_again_and_fall(network, monkeypatch):
    monkeypatch.setattr(attack, "RADII", (1, 20, 60))
    labels = labels_of(network)
    rows = attack_rows(network, PIXELS, labels=labels, to=TO, seed=3)
    assert rows["radius"].tolist() == [0, 1, 20, 60]
    assert set(rows["images"]) == {40}
    assert rows["top1"].iloc[0] == pytest.approx(100, abs=3)  # rounding to pixels
    assert rows["top1"].tolist() == sorted(rows["top1"], reverse=True)
    assert rows["top1"].iloc[-1] < 50
    pd.testing.assert_frame_equal(rows, attack_rows(network, PIXELS, labels=labels, to=TO, seed=3))


def test_a_start_is_of_the_image_alone(network, monkeypatch):
    seen = []
    real = attack.attacked

    def remember(*args, start, **given):
        seen.append(start)
        return real(*args, start=start, **given)

    monkeypatch.setattr(attack, "attacked", remember)
    for count in (40, 5):
        attack_rows(network, PIXELS[:count], labels=labels_of(network)[:count], to=TO, seed=3)
    assert torch.equal(seen[0][:5], seen[-1])
    assert -1 <= float(seen[0].min()) < -0.9
    assert 0.9 < float(seen[0].max()) <= 1


@pytest.mark.parametrize("images", [PIXELS.astype(np.float32), PIXELS[0], PIXELS[:0]])
def test_images_of_another_kind_are_refused(network, images):
    with pytest.raises(UserError, match=r"\[N, H, W, 3\] uint8"):
        attack_rows(network, images, labels=[], to=TO)
