"""ResNet50 for 32 x 32 images.

He et al. 2016, arXiv 1512.03385, table 1, with a 3x3 stem of stride 1 and no max-pool, as in
RepDistiller models/resnetv2.py at b84f547.
"""

from torch import nn

from repro.models.layers import (
    Classifier,
    ResidualBlock,
    Stage,
    StagedNetwork,
    blocks,
    conv_bn,
    init_convolutions,
)
from repro.models.resnet import shortcut


def bottleneck_block(channels_in: int, channels_out: int, stride: int) -> ResidualBlock:
    """1x1, 3x3 (with the stride) and 1x1 convolutions; a quarter of the channels inside."""
    inner = channels_out // 4
    residual = nn.Sequential(
        conv_bn(channels_in, inner, kernel=1),
        nn.ReLU(inplace=True),
        conv_bn(inner, inner, stride=stride),
        nn.ReLU(inplace=True),
        conv_bn(inner, channels_out, kernel=1),
    )
    return ResidualBlock(residual, shortcut(channels_in, channels_out, stride))


def resnet50(num_classes: int) -> StagedNetwork:
    """Maps of 32, 32, 16, 8 and 4 pixels."""
    stages = [
        conv_bn(3, 64),  # [B, 64, 32, 32]
        Stage(*blocks(bottleneck_block, (64, 256), n=3, stride=1)),  # [B, 256, 32, 32]
        Stage(*blocks(bottleneck_block, (256, 512), n=4, stride=2)),  # [B, 512, 16, 16]
        Stage(*blocks(bottleneck_block, (512, 1024), n=6, stride=2)),  # [B, 1024, 8, 8]
        Stage(*blocks(bottleneck_block, (1024, 2048), n=3, stride=2)),  # [B, 2048, 4, 4]
    ]
    network = StagedNetwork(stages, Classifier(2048, num_classes))
    init_convolutions(network)
    return network
