"""One training step of each network, shared by the tests, which leave it as it is."""

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.models import build
from repro.outputs import Outputs

# One of each block; enough where a fact does not depend on the depth.
FAMILIES = (
    "resnet8",
    "resnet8x4",
    "ResNet50",
    "wrn_16_1",
    "wrn_16_2",
    "vgg13",
    "MobileNetV2",
    "ShuffleV1",
    "ShuffleV2",
)


@dataclass(frozen=True)
class Step:
    """A network after one training forward and backward, now in eval mode."""

    network: nn.Module
    outputs: Outputs  # of the training forward


def random_images(count: int, seed: int = 0) -> Tensor:
    """Normal pixels [count, 3, 32, 32]."""
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


@cache
def trained(name: str) -> Step:
    network = build(name, num_classes=100, seed=0)
    outputs = network(random_images(4))
    F.cross_entropy(outputs.logits, torch.arange(4)).backward()
    return Step(network.eval(), outputs)
