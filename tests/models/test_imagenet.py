"""ImageNet's networks are torchvision's, with its weights; MobileNetV1 is the paper's."""

from itertools import pairwise

import pytest
import torch

from repro.data.torchvision_cure import import_torchvision
from repro.models import IMAGENET_MODELS, build, count_macs, num_params
from repro.train.foreign import Foreign, fitted

PARAMS = {  # of 1,000 classes: torchvision's documentation; MobileNetV1's added up by hand
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "MobileNetV1": 4_231_976,
}
# Billions, as torchvision's documentation has them (it counts the same operations).
GMACS = {"resnet18": "1.81", "resnet34": "3.66", "resnet50": "4.09", "resnet101": "7.80"}


@pytest.mark.parametrize("name", PARAMS)
def test_parameters(name: str) -> None:
    with torch.device("meta"):
        assert num_params(IMAGENET_MODELS[name](1000)) == PARAMS[name]
    assert PARAMS.keys() == IMAGENET_MODELS.keys()


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50"])
def test_multiply_accumulates(name: str) -> None:
    assert f"{count_macs(name, 1000, 224) / 1e9:.2f}" == GMACS[name]


def mobilenet_by_hand() -> int:
    """Stem, then depthwise 9 C + 2 C, pointwise C C' + 2 C', and the classifier."""
    widths = [32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024]
    total = 3 * 32 * 9 + 2 * 32
    for before, after in pairwise(widths):
        total += 9 * before + 2 * before + before * after + 2 * after
    return total + 1024 * 1000 + 1000


def test_mobilenet_by_hand() -> None:
    assert mobilenet_by_hand() == PARAMS["MobileNetV1"]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_torchvisions_weights_give_torchvisions_answers(name: str) -> None:
    torchvision = import_torchvision()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        theirs = torchvision.models.get_model(name).eval()
        images = torch.randn(2, 3, 96, 96)
    ours = build(name, num_classes=1000, seed=0).eval()
    stored = fitted(Foreign(f"{name}.pth", theirs.half().float().state_dict()), name)
    ours.load_state_dict({n: t.float() for n, t in stored.items()})
    with torch.no_grad():
        torch.testing.assert_close(ours(images).logits, theirs(images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "MobileNetV1"])
def test_features_are_the_stages(name: str) -> None:
    outputs = build(name, num_classes=7, seed=0).eval()(torch.randn(1, 3, 64, 64))
    assert outputs.logits.shape == (1, 7)
    assert [f.shape[-1] for f in outputs.features] == [32, 16, 8, 4, 2]
    for feature, before in zip(outputs.features, outputs.preactivations, strict=True):
        assert torch.equal(feature, before.relu())
        assert (before < 0).any()
