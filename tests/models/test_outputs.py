"""What every network returns: shapes, and how maps, pre-activations and logits relate."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from repro.models import MODELS, build, shapes
from tests.models.forward import FAMILIES, random_images, trained

BASIC_STRIDES = (1, 1, 2, 4)
SHUFFLE_STRIDES = (1, 2, 4, 8)
VGG = ((64, 128, 256, 512, 512), (1, 2, 4, 8, 8))

# Channels and strides (image pixels a map pixel) of the features.
MAPS = {
    **{f"resnet{d}": ((16, 16, 32, 64), BASIC_STRIDES) for d in (8, 14, 20, 32, 44, 56, 110)},
    **{f"resnet{d}x4": ((32, 64, 128, 256), BASIC_STRIDES) for d in (8, 32)},
    "ResNet50": ((64, 256, 512, 1024, 2048), (1, 1, 2, 4, 8)),
    **{f"wrn_{d}_1": ((16, 16, 32, 64), BASIC_STRIDES) for d in (16, 40)},
    **{f"wrn_{d}_2": ((16, 32, 64, 128), BASIC_STRIDES) for d in (16, 28, 40)},
    **{f"wrn_{d}_4": ((16, 64, 128, 256), BASIC_STRIDES) for d in (16, 28)},
    "vgg8": VGG,
    "vgg13": VGG,
    "MobileNetV2": ((16, 12, 16, 48, 160), (2, 2, 4, 8, 16)),
    "ShuffleV1": ((24, 240, 480, 960), SHUFFLE_STRIDES),
    "ShuffleV2": ((24, 116, 232, 464), SHUFFLE_STRIDES),
}
HEADS = {"MobileNetV2": 1280, "ShuffleV2": 1024}  # a convolution between last map and mean
WIDE = [name for name in MODELS if name.startswith("wrn")]
STAGED = [name for name in MODELS if name not in (*WIDE, "MobileNetV2")]


@pytest.mark.parametrize("num_classes", [10, 100])
@pytest.mark.parametrize("name", MODELS)
def test_shapes(name, num_classes):
    if num_classes == 100:
        outputs = trained(name).outputs
    else:
        outputs = build(name, num_classes=num_classes, seed=0)(random_images(4))
    channels, strides = MAPS[name]
    maps = [(4, c, 32 // s, 32 // s) for c, s in zip(channels, strides, strict=True)]
    assert outputs.logits.shape == (4, num_classes)
    assert [tuple(feature.shape) for feature in outputs.features] == maps
    assert [tuple(before.shape) for before in outputs.preactivations] == maps
    assert outputs.pooled.shape == (4, HEADS.get(name, channels[-1]))


@pytest.mark.parametrize("name", MODELS)
def test_shapes_of_digits_are_half_as_large_but_never_nothing(name):
    channels, strides = MAPS[name]
    found = [tuple(feature.shape) for feature in shapes(name, 10, 16).features]
    assert found == [(1, c, 16 // s, 16 // s) for c, s in zip(channels, strides, strict=True)]
    outputs = build(name, num_classes=10, seed=0)(random_images(4)[:, :, ::2, ::2])
    assert [tuple(feature.shape[1:]) for feature in outputs.features] == [f[1:] for f in found]
    assert outputs.logits.isfinite().all()


@pytest.mark.parametrize("name", STAGED)
def test_features_are_rectified_preactivations(name):
    outputs = trained(name).outputs
    for feature, before in zip(outputs.features, outputs.preactivations, strict=True):
        assert before.min() < 0  # not overwritten by its own ReLU
        assert torch.equal(before.clamp(min=0), feature)


def test_mobilenet_keeps_linear_maps_after_a_rectified_stem():
    outputs = trained("MobileNetV2").outputs
    assert outputs.preactivations[0].min() < 0
    assert torch.equal(outputs.preactivations[0].clamp(min=0), outputs.features[0])
    for feature, before in zip(outputs.features[1:], outputs.preactivations[1:], strict=True):
        assert feature.min() < 0
        assert torch.equal(feature, before)


@pytest.mark.parametrize("name", WIDE)
def test_wide_preactivations_are_the_features_normalised_by_the_batch(name):
    """At the start BatchNorm has weight 1 and bias 0, so the whole map is known."""
    outputs = trained(name).outputs
    for feature, before in zip(outputs.features, outputs.preactivations, strict=True):
        variance, mean = torch.var_mean(feature, dim=(0, 2, 3), keepdim=True, correction=0)
        assert_close(before, (feature - mean) / (variance + 1e-5).sqrt(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in HEADS])
def test_pooled_is_the_mean_of_the_last_rectified_map(name):
    outputs = trained(name).outputs
    assert_close(outputs.pooled, outputs.preactivations[-1].clamp(min=0).mean(dim=(2, 3)))


@pytest.mark.parametrize("name", MODELS)
def test_classifier_of_pooled_gives_the_logits(name):
    network, outputs = trained(name).network, trained(name).outputs
    expected = outputs.pooled @ network.classifier.weight.T + network.classifier.bias
    assert_close(outputs.logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_eval_is_deterministic_and_independent_of_the_batch(name):
    network, images = trained(name).network, random_images(3, seed=1)
    with torch.no_grad():
        together = network(images).logits
        again = network(images).logits
        alone = torch.cat([network(image[None]).logits for image in images])
    assert torch.equal(together, again)
    assert_close(alone, together, rtol=1e-3, atol=1e-4 * together.abs().max().item())


@pytest.mark.parametrize("name", FAMILIES)
def test_channels_last_changes_the_layout_only(name):
    network = build(name, num_classes=10, seed=0).eval()
    images = random_images(2)
    with torch.no_grad():
        expected = network(images)
        network.to(memory_format=torch.channels_last)
        outputs = network(images.to(memory_format=torch.channels_last))
    tolerance = 1e-4 * expected.logits.abs().max().item()
    assert_close(outputs.logits, expected.logits, rtol=1e-3, atol=tolerance)
    layouts = [f.is_contiguous(memory_format=torch.channels_last) for f in outputs.features]
    assert all(layouts)


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_autocast_gives_close_float32_logits(name):
    network, images = trained(name).network, random_images(2, seed=1)
    with torch.no_grad():
        expected = network(images).logits
        with torch.autocast("cpu", torch.bfloat16):
            outputs = network(images)
    assert outputs.logits.dtype == torch.float32
    assert outputs.features[-1].dtype == torch.bfloat16  # autocast was at work
    assert F.cosine_similarity(outputs.logits, expected).min() > 0.99
    classifier = network.classifier
    exact = F.linear(outputs.pooled.float(), classifier.weight, classifier.bias)
    assert torch.equal(outputs.logits, exact)


def test_float64_stays_float64():
    outputs = build("resnet8", num_classes=10, seed=0).double()(random_images(2).double())
    assert outputs.logits.dtype == torch.float64
