"""Networks for 224 x 224 images: ResNets as torchvision has them, and MobileNetV1.

ResNets: He et al. 2016, arXiv 1512.03385, table 1; in a bottleneck the 3x3 convolution has the
stride, as in torchvision.models.resnet. Modules stand in torchvision's order, so that its weights
fit by position. MobileNetV1: Howard et al. 2017, arXiv 1704.04861, table 1: what tables of
distillation on ImageNet call MobileNet.
"""

from collections.abc import Callable

from torch import nn

from repro.models.bottleneck import bottleneck_block
from repro.models.layers import (
    BatchNorm,
    Classifier,
    ResidualBlock,
    Stage,
    StagedNetwork,
    blocks,
    conv,
    conv_bn,
    init_convolutions,
)
from repro.models.resnet import basic_block

Block = Callable[[int, int, int], ResidualBlock]
WIDTHS = (64, 128, 256, 512)  # of basic blocks; a bottleneck puts out four times as many
# Channels in, channels out, stride of each depthwise separable convolution, by size of the maps.
SEPARABLE = (
    ((32, 64, 1), (64, 128, 2), (128, 128, 1)),
    ((128, 256, 2), (256, 256, 1)),
    ((256, 512, 2), *[(512, 512, 1)] * 5),
    ((512, 1024, 2), (1024, 1024, 1)),
)


def basic_resnet(num_classes: int, *, depths: tuple[int, ...]) -> StagedNetwork:
    """ResNet18 (2, 2, 2, 2) and ResNet34 (3, 4, 6, 3)."""
    return _resnet(num_classes, basic_block, depths, expansion=1)


def bottleneck_resnet(num_classes: int, *, depths: tuple[int, ...]) -> StagedNetwork:
    """ResNet50 (3, 4, 6, 3), ResNet101 (3, 4, 23, 3) and ResNet152 (3, 8, 36, 3)."""
    return _resnet(num_classes, bottleneck_block, depths, expansion=4)


def _resnet(
    num_classes: int, block: Block, depths: tuple[int, ...], *, expansion: int
) -> StagedNetwork:
    """Maps of 112, 56, 28, 14 and 7 pixels. The pool after the stem begins the first stage."""
    stem = nn.Sequential(conv(3, WIDTHS[0], kernel=7, stride=2), BatchNorm(WIDTHS[0]))
    stages: list[nn.Module] = [stem]
    channels = WIDTHS[0]
    for width, depth in zip(WIDTHS, depths, strict=True):
        first = width == WIDTHS[0]
        out = width * expansion
        stage = Stage(*blocks(block, (channels, out), n=depth, stride=1 if first else 2))
        pool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        stages.append(nn.Sequential(pool, stage) if first else stage)
        channels = out
    network = StagedNetwork(stages, Classifier(channels, num_classes))
    init_convolutions(network)
    return network


def separable(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    """A 3x3 depthwise and a 1x1 convolution, each with a BatchNorm; no activation after it."""
    return nn.Sequential(
        conv_bn(channels_in, channels_in, stride=stride, groups=channels_in),
        nn.ReLU(inplace=True),
        conv_bn(channels_in, channels_out, kernel=1),
    )


def mobilenet_v1(num_classes: int) -> StagedNetwork:
    """Maps of 112, 56, 28, 14 and 7 pixels, at full width."""
    stages: list[nn.Module] = [conv_bn(3, 32, stride=2)]
    stages += [Stage(*(separable(*shape) for shape in shapes)) for shapes in SEPARABLE]
    network = StagedNetwork(stages, Classifier(1024, num_classes))
    init_convolutions(network)
    return network
