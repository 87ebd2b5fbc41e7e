"""ShuffleNet V1 (3 groups) and V2 (size 1) for 32 x 32 images.

Zhang et al. 2018, arXiv 1707.01083, and Ma et al. 2018, arXiv 1807.11164; RepDistiller
models/ShuffleNetv1.py and models/ShuffleNetv2.py at b84f547: a 1x1 stem with 24 channels, no pool
after it, PyTorch's own initial weights.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from repro.models.layers import Classifier, Stage, StagedNetwork, conv_bn

STEM = 24
GROUPS = 3
V1_WIDTHS = (240, 480, 960)
V2_WIDTHS = (116, 232, 464)
UNITS = (3, 7, 3)  # after the unit that halves the size, in both versions
V2_HEAD = 1024


def _branch_v1(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    """Grouped 1x1, shuffle, 3x3 depthwise and grouped 1x1 convolutions."""
    inner = channels_out // 4
    groups = 1 if channels_in == STEM else GROUPS
    return nn.Sequential(
        conv_bn(channels_in, inner, kernel=1, groups=groups),
        nn.ReLU(inplace=True),
        nn.ChannelShuffle(groups),
        conv_bn(inner, inner, stride=stride, groups=inner),
        nn.ReLU(inplace=True),
        conv_bn(inner, channels_out, kernel=1, groups=GROUPS),
    )


class UnitV1(nn.Module):
    """A residual unit: the sum with its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch = _branch_v1(channels, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        return self.branch(maps) + maps


class DownUnitV1(nn.Module):
    """Halves the size: the branch and the average-pooled input, side by side."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.branch = _branch_v1(channels_in, channels_out - channels_in, 2)
        self.pool = nn.AvgPool2d(3, stride=2, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([self.branch(maps), self.pool(maps)], dim=1)


class UnitV2(nn.Module):
    """Half of the channels pass, half are convolved; then shuffled.

    The ReLU after the shuffle (``Stage``) covers both halves. The passing half comes out of a ReLU,
    so values and gradients are those of a ReLU on the convolved half alone.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(
            conv_bn(half, half, kernel=1),
            nn.ReLU(inplace=True),
            conv_bn(half, half, groups=half),
            conv_bn(half, half, kernel=1),
        )
        self.shuffle = nn.ChannelShuffle(2)

    def forward(self, maps: Tensor) -> Tensor:
        passing, convolved = maps.chunk(2, dim=1)
        return self.shuffle(torch.cat([passing, self.branch(convolved)], dim=1))


class DownUnitV2(nn.Module):
    """Halves the size: two convolved branches side by side, then shuffled."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        half = channels_out // 2
        self.left = nn.Sequential(
            conv_bn(channels_in, channels_in, stride=2, groups=channels_in),
            conv_bn(channels_in, half, kernel=1),
        )
        self.right = nn.Sequential(
            conv_bn(channels_in, half, kernel=1),
            nn.ReLU(inplace=True),
            conv_bn(half, half, stride=2, groups=half),
            conv_bn(half, half, kernel=1),
        )
        self.shuffle = nn.ChannelShuffle(2)

    def forward(self, maps: Tensor) -> Tensor:
        return self.shuffle(torch.cat([self.left(maps), self.right(maps)], dim=1))


def _stages(
    widths: tuple[int, ...],
    down: Callable[[int, int], nn.Module],
    unit: Callable[[int], nn.Module],
) -> list[nn.Module]:
    """The stem and three stages: [B, 24, 32, 32], then half the size and more channels each."""
    stages: list[nn.Module] = [conv_bn(3, STEM, kernel=1)]
    channels = STEM
    for width, units in zip(widths, UNITS, strict=True):
        stages.append(Stage(down(channels, width), *(unit(width) for _ in range(units))))
        channels = width
    return stages


def shuffle_v1(num_classes: int) -> StagedNetwork:
    """Maps of 32, 16, 8 and 4 pixels."""
    stages = _stages(V1_WIDTHS, DownUnitV1, UnitV1)
    return StagedNetwork(stages, Classifier(V1_WIDTHS[-1], num_classes))


def shuffle_v2(num_classes: int) -> StagedNetwork:
    """Maps of 32, 16, 8 and 4 pixels; a 1x1 convolution to 1024 channels before the mean.

    ``preactivations`` have the channel order of ``features``; RepDistiller's are not shuffled.
    """
    stages = _stages(V2_WIDTHS, DownUnitV2, UnitV2)
    head = nn.Sequential(conv_bn(V2_WIDTHS[-1], V2_HEAD, kernel=1), nn.ReLU(inplace=True))
    return StagedNetwork(stages, Classifier(V2_HEAD, num_classes), head)
