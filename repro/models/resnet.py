"""ResNets for 32 x 32 images with basic blocks.

He et al. 2016, arXiv 1512.03385, section 4.2, with a projection (1x1 convolution + BatchNorm)
wherever the shape changes, as in RepDistiller models/resnet.py at b84f547.
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

# Channels of the stem and of the three stages. The "x4" stem has 32, not 64, channels.
NARROW = (16, 16, 32, 64)
WIDE = (32, 64, 128, 256)


def shortcut(channels_in: int, channels_out: int, stride: int) -> nn.Module:
    """The identity, or a projection where the shape changes."""
    if stride == 1 and channels_in == channels_out:
        return nn.Identity()
    return conv_bn(channels_in, channels_out, kernel=1, stride=stride)


def basic_block(channels_in: int, channels_out: int, stride: int) -> ResidualBlock:
    """Two 3x3 convolutions."""
    residual = nn.Sequential(
        conv_bn(channels_in, channels_out, stride=stride),
        nn.ReLU(inplace=True),
        conv_bn(channels_out, channels_out),
    )
    return ResidualBlock(residual, shortcut(channels_in, channels_out, stride))


def cifar_resnet(num_classes: int, *, depth: int, widths: tuple[int, ...]) -> StagedNetwork:
    """A network of ``depth`` = 6n + 2 layers; maps of 32, 32, 16 and 8 pixels."""
    n = (depth - 2) // 6
    stem, first, second, third = widths
    stages = [
        conv_bn(3, stem),  # [B, stem, 32, 32]
        Stage(*blocks(basic_block, (stem, first), n=n, stride=1)),  # [B, first, 32, 32]
        Stage(*blocks(basic_block, (first, second), n=n, stride=2)),  # [B, second, 16, 16]
        Stage(*blocks(basic_block, (second, third), n=n, stride=2)),  # [B, third, 8, 8]
    ]
    network = StagedNetwork(stages, Classifier(third, num_classes))
    init_convolutions(network)
    return network
