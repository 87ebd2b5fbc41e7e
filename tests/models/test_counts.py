"""Parameters and multiply-accumulates of RepDistiller's own definitions (100 classes)."""

import pytest

from repro.errors import UserError
from repro.models import MODELS, build, count_activations, count_macs, num_params

PARAMS = {
    "resnet8": 83_892,
    "resnet14": 181_108,
    "resnet20": 278_324,
    "resnet32": 472_756,
    "resnet44": 667_188,
    "resnet56": 861_620,
    "resnet110": 1_736_564,
    "resnet8x4": 1_233_540,
    "resnet32x4": 7_433_860,
    "ResNet50": 23_705_252,
    "wrn_16_1": 180_916,
    "wrn_16_2": 703_284,
    "wrn_16_4": 2_772_020,
    "wrn_28_2": 1_479_220,
    "wrn_28_4": 5_872_180,
    "wrn_40_1": 569_780,
    "wrn_40_2": 2_255_156,
    "vgg8": 3_965_028,
    "vgg13": 9_462_180,
    "MobileNetV2": 812_836,
    "ShuffleV1": 949_258,
    "ShuffleV2": 1_355_528,
}

# Millions, as they were listed.
MMACS = {
    "resnet20": "40.8",
    "resnet32": "69.1",
    "resnet56": "125.8",
    "resnet110": "253.2",
    "resnet8x4": "177.1",
    "resnet32x4": "1083.0",
    "ResNet50": "1298.0",
    "wrn_16_2": "101.1",
    "wrn_40_1": "83.3",
    "wrn_40_2": "327.6",
    "vgg8": "96.2",
    "vgg13": "284.9",
    "MobileNetV2": "6.52",
    "ShuffleV1": "38.7",
    "ShuffleV2": "44.5",
}


def test_every_network_has_a_known_parameter_count():
    assert list(MODELS) == list(PARAMS)


@pytest.mark.parametrize("name", PARAMS)
def test_parameters_match_the_published_definition(name):
    assert num_params(MODELS[name](100)) == PARAMS[name]


@pytest.mark.parametrize("name", MMACS)
def test_multiply_accumulates_match_the_published_definition(name):
    digits = len(MMACS[name].partition(".")[2])
    assert f"{count_macs(name) / 1e6:.{digits}f}" == MMACS[name]


def test_classes_change_only_the_classifier():
    assert count_macs("resnet20", 100) - count_macs("resnet20", 10) == 90 * 64
    few = num_params(build("resnet20", num_classes=10, seed=0))
    assert PARAMS["resnet20"] - few == 90 * (64 + 1)


def test_half_the_side_is_a_quarter_of_the_work():
    """Of the convolutions; the classifier sees one vector as before."""
    classifier = 64 * 10
    whole, half = (count_macs("resnet20", 10, side) - classifier for side in (32, 16))
    assert whole == 4 * half
    whole, half = (count_activations("resnet20", side) - 100 for side in (32, 16))
    assert whole == 4 * half


@pytest.mark.parametrize("ask", [lambda name: build(name, num_classes=10, seed=0), count_macs])
def test_unknown_name_lists_the_known_ones(ask):
    with pytest.raises(UserError, match=r"unknown model 'resnet19'; known: resnet8, .*ShuffleV2"):
        ask("resnet19")
