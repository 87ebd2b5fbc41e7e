"""The networks of the distillation benchmarks, by name: 22 for CIFAR, 6 for ImageNet.

Structures as in RepDistiller at b84f547, with modules in its order, so that its checkpoints can be
read by position; those for ImageNet in torchvision's. Each network maps images [B, 3, S, S] to
``Outputs``, and its last layer is ``classifier``.
"""

from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from repro.errors import choose
from repro.models.bottleneck import resnet50
from repro.models.imagenet import basic_resnet, bottleneck_resnet, mobilenet_v1
from repro.models.mobilenet import mobilenet_v2
from repro.models.resnet import NARROW, WIDE, cifar_resnet
from repro.models.shufflenet import shuffle_v1, shuffle_v2
from repro.models.vgg import vgg_bn
from repro.models.wrn import wide_resnet
from repro.outputs import Outputs
from repro.seeded import seeded

Places = Mapping[str, Tensor]
CIFAR_SIDE = 32  # pixels; what is counted is counted for these images unless told otherwise

MODELS: dict[str, Callable[[int], nn.Module]] = {
    "resnet8": partial(cifar_resnet, depth=8, widths=NARROW),
    "resnet14": partial(cifar_resnet, depth=14, widths=NARROW),
    "resnet20": partial(cifar_resnet, depth=20, widths=NARROW),
    "resnet32": partial(cifar_resnet, depth=32, widths=NARROW),
    "resnet44": partial(cifar_resnet, depth=44, widths=NARROW),
    "resnet56": partial(cifar_resnet, depth=56, widths=NARROW),
    "resnet110": partial(cifar_resnet, depth=110, widths=NARROW),
    "resnet8x4": partial(cifar_resnet, depth=8, widths=WIDE),
    "resnet32x4": partial(cifar_resnet, depth=32, widths=WIDE),
    "ResNet50": resnet50,
    "wrn_16_1": partial(wide_resnet, depth=16, widen=1),
    "wrn_16_2": partial(wide_resnet, depth=16, widen=2),
    "wrn_16_4": partial(wide_resnet, depth=16, widen=4),
    "wrn_28_2": partial(wide_resnet, depth=28, widen=2),
    "wrn_28_4": partial(wide_resnet, depth=28, widen=4),
    "wrn_40_1": partial(wide_resnet, depth=40, widen=1),
    "wrn_40_2": partial(wide_resnet, depth=40, widen=2),
    "vgg8": partial(vgg_bn, convolutions=1),
    "vgg13": partial(vgg_bn, convolutions=2),
    "MobileNetV2": mobilenet_v2,
    "ShuffleV1": shuffle_v1,
    "ShuffleV2": shuffle_v2,
}
IMAGENET_MODELS: dict[str, Callable[[int], nn.Module]] = {
    "resnet18": partial(basic_resnet, depths=(2, 2, 2, 2)),
    "resnet34": partial(basic_resnet, depths=(3, 4, 6, 3)),
    "resnet50": partial(bottleneck_resnet, depths=(3, 4, 6, 3)),
    "resnet101": partial(bottleneck_resnet, depths=(3, 4, 23, 3)),
    "resnet152": partial(bottleneck_resnet, depths=(3, 8, 36, 3)),
    "MobileNetV1": mobilenet_v1,
}


def constructor(name: str) -> Callable[[int], nn.Module]:
    """What makes the network for a number of classes. Raises ``UserError`` for an unknown name."""
    known = MODELS | IMAGENET_MODELS
    if name not in known:
        raise choose("model", name, known)
    return known[name]


def build(name: str, *, num_classes: int, seed: int) -> nn.Module:
    """A network on the CPU with initial weights that depend on ``seed`` alone.

    No global random state changes. Raises ``UserError`` for an unknown name.
    """
    construct = constructor(name)
    with seeded(seed):
        return construct(num_classes)


def num_params(module: nn.Module) -> int:
    """The number of parameters (buffers are not counted)."""
    return sum(parameter.numel() for parameter in module.parameters())


@cache
def count_macs(name: str, num_classes: int = 100, side: int = CIFAR_SIDE) -> int:
    """Multiply-accumulates of convolutions and classifier for one image of ``side`` x ``side``.

    Counted as the network runs on the CPU: on device meta torch would import its compiler, which
    takes longer than all networks here. Raises ``UserError`` for an unknown name.
    """
    return _hooked(
        build(name, num_classes=num_classes, seed=0), torch.zeros(1, 3, side, side), _layer_macs
    )


def _layer_macs(layer: nn.Module, output: Tensor) -> int:
    """Each weight of an output's channel is used once an element of it."""
    if not isinstance(layer, nn.Conv2d | nn.Linear):
        return 0
    return output.numel() * layer.weight[0].numel()


@cache
def shapes(name: str, num_classes: int, side: int = CIFAR_SIDE) -> Outputs:
    """A network's outputs for one image on device meta: shapes, no values. UserError if unknown."""
    construct = constructor(name)
    with torch.device("meta"), torch.no_grad():
        return construct(num_classes).eval()(torch.empty(1, 3, side, side))


@cache
def places(name: str, num_classes: int) -> Places:
    """A network's parameters and buffers by name, in order, on device meta: shapes, no values."""
    construct = constructor(name)
    with torch.device("meta"):
        return construct(num_classes).state_dict(keep_vars=True)


@cache
def count_activations(name: str, side: int = CIFAR_SIDE) -> int:
    """Elements that a network's leaf modules put out for one image, counted as ``count_macs``."""
    network = build(name, num_classes=100, seed=0)
    return activation_elements(network, torch.zeros(1, 3, side, side))


def activation_elements(model: nn.Module, images: Tensor) -> int:
    """Elements of the outputs of every leaf module but identities, for ``images`` [B, 3, H, W]."""
    return _hooked(
        model, images, lambda layer, out: 0 if isinstance(layer, nn.Identity) else out.numel()
    )


@torch.no_grad()
def _hooked(model: nn.Module, images: Tensor, count: Callable[[nn.Module, Tensor], int]) -> int:
    """The sum of ``count(leaf module, its output)`` over a forward pass."""
    counted = 0

    def add(layer: nn.Module, _given: Any, output: Tensor) -> None:
        nonlocal counted
        counted += count(layer, output)

    leaves = [m for m in model.modules() if not any(m.children())]
    hooks = [leaf.register_forward_hook(add) for leaf in leaves]
    model.eval()(images)
    for hook in hooks:
        hook.remove()
    return counted
