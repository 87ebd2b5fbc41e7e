"""What networks answer to pixels, and which images are taken."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from repro.analysis.answers import (
    Normalisation,
    accuracy,
    by_image,
    features_of,
    logits_of,
    spread_positions,
)
from repro.errors import UserError
from repro.outputs import Outputs
from tests.analysis.conftest import LinearNetwork

TO = Normalisation(mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
PIXELS = torch.randint(
    256, (300, 4, 4, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LinearNetwork(5)


def test_pixels_and_shares_are_normalised_alike():
    shares = PIXELS.permute(0, 3, 1, 2).float() / 255
    assert torch.allclose(TO.of_pixels(PIXELS), TO.of_shares(shares), atol=1e-5)
    expected = (PIXELS[0, 1, 2].double() / 255 - torch.tensor(TO.mean)) / torch.tensor(TO.std)
    assert TO.of_pixels(PIXELS)[0, :, 1, 2].tolist() == pytest.approx(expected.tolist(), abs=1e-5)


def test_logits_and_features_are_those_of_eval_mode_in_the_images_order(network):
    network.train()
    logits, features = logits_of(network, PIXELS, TO), features_of(network, PIXELS, TO)
    assert not network.training
    assert torch.allclose(features, TO.of_pixels(PIXELS).flatten(1), atol=1e-6)
    with torch.inference_mode():
        assert torch.allclose(logits, network.classifier(features), atol=1e-5)


def test_a_network_without_features_is_refused():
    class Silent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, images: Tensor) -> Outputs:
            return Outputs(images.flatten(1))

    with pytest.raises(UserError, match="Silent gives no features"):
        features_of(Silent(), PIXELS, TO)


def test_accuracy_is_in_percent():
    assert accuracy(torch.eye(4), [0, 1, 2, 0]) == 75


def test_images_are_spread_over_the_classes():
    labels = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert spread_positions(labels, 3).tolist() == [0, 3, 6]
    assert spread_positions(labels, 5).tolist() == [0, 1, 3, 4, 6]
    assert spread_positions(labels, 99).tolist() == list(range(9))
    assert spread_positions(labels, 4, (2, 0)).tolist() == [0, 1, 6, 7]


def test_fewer_images_are_among_more():
    labels = np.random.default_rng(0).integers(0, 7, 200)
    assert set(spread_positions(labels, 30)) < set(spread_positions(labels, 90))


@pytest.mark.parametrize(("count", "classes"), [(0, ()), (-1, ()), (3, (9,))])
def test_no_images_are_refused(count, classes):
    with pytest.raises(UserError, match="at least 1 is needed"):
        spread_positions([0, 1, 2], count, classes)


def test_each_image_draws_for_itself():
    def draw(generator: np.random.Generator) -> np.ndarray:
        return generator.standard_normal(3, np.float32)

    many = by_image(4, 0, draw)
    assert np.array_equal(many[:2], by_image(2, 0, draw))
    assert not np.array_equal(many[0], many[1])
    assert not np.array_equal(many, by_image(4, 1, draw))
