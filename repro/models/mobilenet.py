"""MobileNetV2 at half width for 32 x 32 images.

Sandler et al. 2018, arXiv 1801.04381, table 2; RepDistiller models/mobilenetv2.py at b84f547: the
stem has stride 2 and the strides of the seven stages are 1, 1, 2, 2, 1, 2, 1.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from repro.models.layers import (
    Classifier,
    ResidualBlock,
    conv_bn,
    init_classifier,
    init_convolutions,
)
from repro.outputs import Outputs

# Expansion, channels at half width, blocks, stride. A feature is kept after stages 1, 2, 4 and 6.
STAGES = (
    (1, 8, 1, 1),
    (6, 12, 2, 1),
    (6, 16, 3, 2),
    (6, 32, 4, 2),
    (6, 48, 3, 1),
    (6, 80, 3, 2),
    (6, 160, 1, 1),
)
KEPT = (1, 2, 4, 6)
STEM, HEAD = 16, 1280  # the head is not halved


def inverted_residual(
    channels_in: int, channels_out: int, *, expansion: int, stride: int
) -> nn.Module:
    """1x1 expansion, 3x3 depthwise and linear 1x1 convolutions; a sum if the shape is kept."""
    inner = channels_in * expansion
    residual = nn.Sequential(
        conv_bn(channels_in, inner, kernel=1),
        nn.ReLU(inplace=True),
        conv_bn(inner, inner, stride=stride, groups=inner),
        nn.ReLU(inplace=True),
        conv_bn(inner, channels_out, kernel=1),
    )
    if stride == 1 and channels_in == channels_out:
        return ResidualBlock(residual, nn.Identity())
    return residual


def _stages() -> list[nn.Sequential]:
    stages, channels = [], STEM
    for expansion, width, n, stride in STAGES:
        stage = nn.Sequential()
        for i in range(n):
            step = stride if i == 0 else 1
            stage.append(inverted_residual(channels, width, expansion=expansion, stride=step))
            channels = width
        stages.append(stage)
    return stages


class MobileNetV2(nn.Module):
    """Maps of 16, 16, 8, 4 and 2 pixels.

    The stages end linearly, so their feature and pre-activation are one map (as in RepDistiller);
    the stem has a ReLU. ReLU, not ReLU6.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = conv_bn(3, STEM, stride=2)  # [B, 16, 16, 16]
        self.stages = nn.ModuleList(_stages())  # [B, 160, 2, 2]
        self.head = nn.Sequential(conv_bn(STAGES[-1][1], HEAD, kernel=1), nn.ReLU(inplace=True))
        self.classifier = Classifier(HEAD, num_classes)

    def forward(self, images: Tensor) -> Outputs:
        before = self.stem(images)
        stem = maps = F.relu(before)
        kept = []
        for i, stage in enumerate(self.stages):
            maps = stage(maps)
            if i in KEPT:
                kept.append(maps)
        return self.classifier.outputs(self.head(maps), (stem, *kept), (before, *kept))


def mobilenet_v2(num_classes: int) -> MobileNetV2:
    """The network with its initial weights."""
    network = MobileNetV2(num_classes)
    init_convolutions(network)
    init_classifier(network.classifier)
    return network
