"""VGG with BatchNorm and one linear layer.

Simonyan & Zisserman 2015, arXiv 1409.1556; RepDistiller models/vgg.py at b84f547. There the pool
before the last stage is only for 64-pixel images, so on CIFAR the last stage works on 4 x 4 maps.
"""

from torch import nn

from repro.models.layers import (
    BatchNorm,
    Classifier,
    StagedNetwork,
    init_classifier,
    init_convolutions,
)

WIDTHS = (64, 128, 256, 512, 512)
POOLED_BEFORE = (False, True, True, True, False)


def _stage(channels_in: int, channels_out: int, *, convolutions: int, pool: bool) -> nn.Sequential:
    """A max-pool if ``pool``, then 3x3 convolutions (with bias) + BatchNorm, a ReLU between two."""
    layers: list[nn.Module] = [nn.MaxPool2d(2)] if pool else []
    for i in range(convolutions):
        layers += [] if i == 0 else [nn.ReLU(inplace=True)]
        layers += [nn.Conv2d(channels_in, channels_out, 3, padding=1), BatchNorm(channels_out)]
        channels_in = channels_out
    return nn.Sequential(*layers)


def vgg_bn(num_classes: int, *, convolutions: int) -> StagedNetwork:
    """Five stages of ``convolutions`` each (vgg8: 1, vgg13: 2); maps of 32, 16, 8, 4 and 4 pixels.

    The first stage counts as the stem.
    """
    channels_in = (3, *WIDTHS[:-1])
    stages = [
        _stage(before, after, convolutions=convolutions, pool=pool)
        for before, after, pool in zip(channels_in, WIDTHS, POOLED_BEFORE, strict=True)
    ]
    network = StagedNetwork(stages, Classifier(WIDTHS[-1], num_classes))
    init_convolutions(network)
    init_classifier(network.classifier)
    return network
