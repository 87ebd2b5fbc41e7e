"""The layers that the families share.

A *stage* maps the features before it to its own pre-activation [B, C, H, W]; the ReLU after it is
the network's (``StagedNetwork``). So a pre-activation is kept by not throwing it away, and nothing
is computed twice. A ReLU works in place where nobody else sees its input.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.outputs import Outputs


class Classifier(nn.Linear):
    """The last layer: logits in the weights' precision (float32) even under autocast."""

    def forward(self, pooled: Tensor) -> Tensor:
        """``pooled`` [B, D] of any floating type -> logits [B, K] of the weights' type."""
        if pooled.is_meta:  # there is no autocast on the meta device
            return super().forward(pooled)
        with torch.autocast(pooled.device.type, enabled=False):
            return super().forward(pooled.to(self.weight.dtype))

    def outputs(
        self, maps: Tensor, features: Iterable[Tensor], preactivations: Iterable[Tensor]
    ) -> Outputs:
        """A network's outputs from its last maps [B, D, H, W] and those of its stages."""
        pooled = maps.mean(dim=(2, 3))  # [B, D]
        return Outputs(
            logits=self(pooled),
            features=tuple(features),
            preactivations=tuple(preactivations),
            pooled=pooled,
            maps=maps,
            classifier=(self.weight, self.bias),
        )


class BatchNorm(nn.BatchNorm2d):
    """PyTorch's, except that it does not count batches: with a fixed momentum nobody reads the
    count, and it is one operation more for each layer and step. The count stays 0."""

    def forward(self, maps: Tensor) -> Tensor:
        assert self.momentum is not None  # for the type: it is 0.1
        statistics = (self.running_mean, self.running_var, self.weight, self.bias)
        return F.batch_norm(maps, *statistics, self.training, self.momentum, self.eps)


class Stage(nn.Sequential):
    """Blocks that each return a pre-activation: a ReLU between two of them, none after the last."""

    def forward(self, maps: Tensor) -> Tensor:
        *others, last = self
        for block in others:
            maps = F.relu(block(maps), inplace=True)
        return last(maps)


class ResidualBlock(nn.Module):
    """The sum of a residual branch and a shortcut, no activation after it."""

    def __init__(self, residual: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.residual = residual
        self.shortcut = shortcut

    def forward(self, maps: Tensor) -> Tensor:
        return self.residual(maps) + self.shortcut(maps)


class StagedNetwork(nn.Module):
    """Stages with a ReLU after each, an optional head, the mean over pixels, a linear classifier.

    The first stage is the stem. ``features[i] == relu(preactivations[i])`` for every stage.
    """

    def __init__(
        self, stages: Iterable[nn.Module], classifier: Classifier, head: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.head = nn.Identity() if head is None else head
        self.classifier = classifier

    def forward(self, images: Tensor) -> Outputs:
        maps, features, preactivations = images, [], []
        for stage in self.stages:
            before = stage(maps)
            maps = F.relu(before)
            preactivations.append(before)
            features.append(maps)
        return self.classifier.outputs(self.head(maps), features, preactivations)


def conv(
    channels_in: int, channels_out: int, *, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A convolution without bias that keeps the size (at stride 1)."""
    padding = kernel // 2
    return nn.Conv2d(channels_in, channels_out, kernel, stride, padding, groups=groups, bias=False)


def conv_bn(
    channels_in: int, channels_out: int, *, kernel: int = 3, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """``conv`` and a BatchNorm."""
    layer = conv(channels_in, channels_out, kernel=kernel, stride=stride, groups=groups)
    return nn.Sequential(layer, BatchNorm(channels_out))


def blocks(
    block: Callable[[int, int, int], nn.Module], channels: tuple[int, int], *, n: int, stride: int
) -> list[nn.Module]:
    """``n`` blocks (channels_in, channels_out, stride); the first changes channels and size."""
    channels_in, channels_out = channels
    first = block(channels_in, channels_out, stride)
    return [first, *(block(channels_out, channels_out, 1) for _ in range(n - 1))]


def init_convolutions(network: nn.Module) -> None:
    """Normal weights with std sqrt(2 / (k * k * channels_out)), biases 0 (He et al., 1502.01852).

    In a depthwise convolution channels_out counts all channels, as in RepDistiller.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def init_classifier(classifier: nn.Linear) -> None:
    """Normal weights with std 0.01, bias 0: the classifier of VGG and MobileNetV2."""
    nn.init.normal_(classifier.weight, std=0.01)
    nn.init.zeros_(classifier.bias)
