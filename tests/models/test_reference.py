"""The networks against straight-line versions that read the weights by position.

The order of the weights is RepDistiller's (blocks: branch, then shortcut), so these pin both the
structure and what a reader of its checkpoints relies on. Float64, eval mode, random BatchNorms.
"""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from repro.models import build
from tests.models.forward import random_images


class Weights:
    """The network's tensors in order, each used once."""

    def __init__(self, network: nn.Module) -> None:
        self.tensors: Iterator[Tensor] = iter(network.state_dict().values())

    def conv(self, x: Tensor, stride: int = 1, groups: int = 1, bias: bool = False) -> Tensor:
        weight = next(self.tensors)
        offset = next(self.tensors) if bias else None
        return F.conv2d(x, weight, offset, stride, weight.shape[-1] // 2, groups=groups)

    def bn(self, x: Tensor) -> Tensor:
        weight, bias, mean, variance, _ = (next(self.tensors) for _ in range(5))
        scale = weight / (variance + 1e-5).sqrt()
        return (x - mean[:, None, None]) * scale[:, None, None] + bias[:, None, None]

    def conv_bn(self, x: Tensor, stride: int = 1, groups: int = 1, bias: bool = False) -> Tensor:
        return self.bn(self.conv(x, stride, groups, bias))

    def logits(self, maps: Tensor) -> Tensor:
        weight, bias = self.tensors
        return maps.mean(dim=(2, 3)) @ weight.T + bias


def resnet(w: Weights, x: Tensor, n: int) -> Tensor:
    x = w.conv_bn(x).relu()
    for stage, width in enumerate((16, 32, 64) if x.shape[1] == 16 else (64, 128, 256)):
        for i in range(n):
            stride = 2 if stage > 0 and i == 0 else 1
            y = w.conv_bn(w.conv_bn(x, stride).relu())
            if stride == 2 or x.shape[1] != width:
                x = w.conv_bn(x, stride)
            x = (x + y).relu()
    return w.logits(x)


def resnet50(w: Weights, x: Tensor) -> Tensor:
    x = w.conv_bn(x).relu()
    for stage, n in enumerate((3, 4, 6, 3)):
        for i in range(n):
            stride = 2 if stage > 0 and i == 0 else 1
            y = w.conv_bn(w.conv_bn(w.conv_bn(x).relu(), stride).relu())
            x = ((w.conv_bn(x, stride) if i == 0 else x) + y).relu()
    return w.logits(x)


def wide_resnet(w: Weights, x: Tensor, n: int, widen: int) -> Tensor:
    x = w.conv(x)
    for stage, width in enumerate((16 * widen, 32 * widen, 64 * widen)):
        for i in range(n):
            activated = w.bn(x).relu()
            stride = 2 if stage > 0 and i == 0 else 1
            y = w.conv(w.bn(w.conv(activated, stride)).relu())
            x = y + (x if x.shape[1] == width else w.conv(activated, stride))
    return w.logits(w.bn(x).relu())


def vgg(w: Weights, x: Tensor, convolutions: int) -> Tensor:
    for stage in range(5):
        for _ in range(convolutions):
            x = w.conv_bn(x, bias=True).relu()
        x = F.max_pool2d(x, 2) if stage < 3 else x
    return w.logits(x)


def mobilenet(w: Weights, x: Tensor) -> Tensor:
    x = w.conv_bn(x, 2).relu()
    rows = ((16, 1, 1), (24, 2, 1), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
    for width, count, first in rows:
        for i in range(count):
            stride = first if i == 0 else 1
            y = w.conv_bn(x).relu()
            y = w.conv_bn(y, stride, groups=y.shape[1]).relu()
            y = w.conv_bn(y)
            x = x + y if stride == 1 and x.shape[1] == width // 2 else y
    return w.logits(w.conv_bn(x).relu())


def shuffled(x: Tensor, groups: int) -> Tensor:
    per_group = x.shape[1] // groups
    order = [g * per_group + c for c in range(per_group) for g in range(groups)]
    return x[:, order]


def shuffle_v1(w: Weights, x: Tensor) -> Tensor:
    x = w.conv_bn(x).relu()
    for units in (4, 8, 4):
        for i in range(units):
            groups = 1 if x.shape[1] == 24 else 3
            y = shuffled(w.conv_bn(x, groups=groups).relu(), groups)
            y = w.conv_bn(y, 2 if i == 0 else 1, groups=y.shape[1]).relu()
            y = w.conv_bn(y, groups=3)
            pooled = F.avg_pool2d(x, 3, 2, 1)
            x = (torch.cat([y, pooled], 1) if i == 0 else x + y).relu()
    return w.logits(x)


def shuffle_v2(w: Weights, x: Tensor) -> Tensor:
    x = w.conv_bn(x).relu()
    for units in (3, 7, 3):
        left = w.conv_bn(w.conv_bn(x, 2, groups=x.shape[1])).relu()
        right = w.conv_bn(x).relu()
        right = w.conv_bn(w.conv_bn(right, 2, groups=right.shape[1])).relu()
        x = shuffled(torch.cat([left, right], 1), 2)
        for _ in range(units):
            half = x.shape[1] // 2
            y = w.conv_bn(x[:, half:]).relu()
            y = w.conv_bn(w.conv_bn(y, groups=half)).relu()
            x = shuffled(torch.cat([x[:, :half], y], 1), 2)
    return w.logits(w.conv_bn(x).relu())


REFERENCES = {
    "resnet14": lambda w, x: resnet(w, x, n=2),
    "resnet8x4": lambda w, x: resnet(w, x, n=1),
    "ResNet50": resnet50,
    "wrn_16_1": lambda w, x: wide_resnet(w, x, n=2, widen=1),
    "wrn_16_2": lambda w, x: wide_resnet(w, x, n=2, widen=2),
    "vgg8": lambda w, x: vgg(w, x, convolutions=1),
    "vgg13": lambda w, x: vgg(w, x, convolutions=2),
    "MobileNetV2": mobilenet,
    "ShuffleV1": shuffle_v1,
    "ShuffleV2": shuffle_v2,
}


def _randomise(network: nn.Module) -> nn.Module:
    """Every BatchNorm gets its own affine map, and the statistics of a batch."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.3, 0.3, generator=generator)
            module.momentum = 1.0  # the running statistics become the batch's
    network.double()(random_images(4, seed=1).double())
    return network.eval()


@pytest.mark.parametrize("name", REFERENCES)
def test_network_equals_the_straight_line_version(name):
    network = _randomise(build(name, num_classes=10, seed=0))
    images = random_images(2).double()
    with torch.no_grad():
        logits = network(images).logits
        expected = REFERENCES[name](Weights(network), images)
    assert logits.std(dim=0).max() > 1e-3 * logits.abs().max()  # the images matter
    assert_close(logits, expected, rtol=1e-9, atol=1e-9 * expected.abs().max().item())
