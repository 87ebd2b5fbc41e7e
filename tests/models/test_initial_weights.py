"""Initial weights come from the seed alone, with the spread of the published recipe."""

import math

import pytest
import torch
from torch import nn

from repro.models import MODELS, build
from tests.models.forward import FAMILIES

FAN_OUT = ("resnet8x4", "ResNet50", "wrn_16_4", "vgg8", "MobileNetV2")


def _equal(first: nn.Module, second: nn.Module) -> list[bool]:
    pairs = zip(first.parameters(), second.parameters(), strict=True)
    return [torch.equal(a, b) for a, b in pairs if a.dim() > 1]


@pytest.mark.parametrize("name", FAMILIES)
def test_weights_depend_on_the_seed_alone(name):
    torch.manual_seed(1)
    first = build(name, num_classes=10, seed=3)
    torch.manual_seed(2)
    assert all(_equal(first, build(name, num_classes=10, seed=3)))
    assert not any(_equal(first, build(name, num_classes=10, seed=4)))


@pytest.mark.parametrize("name", MODELS)
def test_global_generator_is_untouched(name):
    before = torch.get_rng_state()
    build(name, num_classes=10, seed=3)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("name", FAN_OUT)
def test_convolutions_are_normal_with_the_fan_out_spread(name):
    """std = sqrt(2 / (k * k * channels_out)); five standard errors of n normal draws."""
    checked = 0
    for module in build(name, num_classes=10, seed=0).modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 1000:
            kernel = module.kernel_size[0]
            std = math.sqrt(2 / (kernel * kernel * module.out_channels))
            n = module.weight.numel()
            assert module.weight.std().item() == pytest.approx(std, rel=5 / math.sqrt(2 * n))
            assert abs(module.weight.mean().item()) < 5 * std / math.sqrt(n)
            assert module.weight.abs().max() > 2.5 * std  # a uniform one would end at 1.73 std
            checked += 1
    assert checked >= 5


@pytest.mark.parametrize("name", ["ShuffleV1", "ShuffleV2"])
def test_shufflenet_keeps_the_uniform_weights_of_pytorch(name):
    """Uniform in +-1/sqrt(fan_in)."""
    for module in build(name, num_classes=10, seed=0).modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 1000:
            bound = 1 / math.sqrt(module.weight[0].numel())
            assert 0.98 * bound < module.weight.abs().max().item() <= bound * (1 + 1e-6)


@pytest.mark.parametrize("name", ["vgg8", "MobileNetV2"])
def test_small_normal_classifier(name):
    classifier = build(name, num_classes=100, seed=0).classifier
    assert classifier.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert not classifier.bias.any()


@pytest.mark.parametrize(("name", "zero"), [("resnet20", False), ("wrn_16_2", True)])
def test_uniform_classifier_with_the_familys_bias(name, zero):
    classifier = build(name, num_classes=100, seed=0).classifier
    bound = 1 / math.sqrt(classifier.in_features)
    assert 0.98 * bound < classifier.weight.abs().max().item() <= bound * (1 + 1e-6)
    assert bool(classifier.bias.any()) is not zero


@pytest.mark.parametrize("name", ["resnet20", "wrn_16_2", "vgg8", "MobileNetV2"])
def test_batchnorm_and_convolution_biases_start_neutral(name):
    for path, parameter in build(name, num_classes=10, seed=0).named_parameters():
        if parameter.dim() == 1 and not path.startswith("classifier"):
            assert set(parameter.tolist()) == {1.0 if path.endswith("weight") else 0.0}
