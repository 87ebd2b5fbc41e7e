"""Wide residual networks without dropout.

Zagoruyko & Komodakis 2016, arXiv 1605.07146; RepDistiller models/wrn.py at b84f547.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from repro.models.layers import BatchNorm, Classifier, blocks, conv, init_convolutions
from repro.outputs import Outputs


class PreactBlock(nn.Module):
    """BatchNorm, ReLU and 3x3 convolution, twice, and a shortcut.

    Where the channels change, the shortcut is a 1x1 convolution of the activated input.
    """

    norms = (("conv1", "bn2"),)  # bn2 alone reads conv1, so a teacher can fold them

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = BatchNorm(channels_in)
        self.conv1 = conv(channels_in, channels_out, stride=stride)
        self.bn2 = BatchNorm(channels_out)
        self.conv2 = conv(channels_out, channels_out)
        self.project = (
            None
            if channels_in == channels_out
            else conv(channels_in, channels_out, kernel=1, stride=stride)
        )

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """The normalised input (the pre-activation of ``maps``) and the output."""
        before = self.bn1(maps)
        activated = F.relu(before)
        residual = self.conv2(F.relu(self.bn2(self.conv1(activated)), inplace=True))
        shortcut = maps if self.project is None else self.project(activated)
        return before, shortcut + residual


class PreactStage(nn.Sequential):
    """Blocks; returns the pre-activation of its input and its output."""

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        first, *others = self
        before, maps = first(maps)
        for block in others:
            _, maps = block(maps)
        return before, maps


class WideResNet(nn.Module):
    """Maps of 32, 32, 16 and 8 pixels.

    ``features`` are the sums at the end of the stages (no activation follows them inside a stage),
    as in RepDistiller; ``preactivations`` are the same maps after the BatchNorm that comes next:
    that of the next stage's first block, or the last one. RepDistiller leaves the stem's map as it
    is there; here it is treated like the others.
    """

    def __init__(self, widths: tuple[int, ...], *, n: int, num_classes: int) -> None:
        super().__init__()
        stem, first, second, third = widths
        self.stem = conv(3, stem)  # [B, stem, 32, 32]
        self.stages = nn.ModuleList(
            [
                PreactStage(*blocks(PreactBlock, (stem, first), n=n, stride=1)),  # 32 x 32
                PreactStage(*blocks(PreactBlock, (first, second), n=n, stride=2)),  # 16 x 16
                PreactStage(*blocks(PreactBlock, (second, third), n=n, stride=2)),  # 8 x 8
            ]
        )
        self.bn = BatchNorm(third)
        self.classifier = Classifier(third, num_classes)

    def forward(self, images: Tensor) -> Outputs:
        maps = self.stem(images)
        features, preactivations = [maps], []
        for stage in self.stages:
            before, maps = stage(maps)
            preactivations.append(before)
            features.append(maps)
        preactivations.append(self.bn(maps))
        return self.classifier.outputs(F.relu(preactivations[-1]), features, preactivations)


def wide_resnet(num_classes: int, *, depth: int, widen: int) -> WideResNet:
    """A network of ``depth`` = 6n + 4 layers and 16, 32 and 64 times ``widen`` channels."""
    widths = (16, 16 * widen, 32 * widen, 64 * widen)
    network = WideResNet(widths, n=(depth - 4) // 6, num_classes=num_classes)
    init_convolutions(network)
    nn.init.zeros_(network.classifier.bias)
    return network
