"""Checkpoints as RepDistiller (b84f547) and mdistiller (a08d46f) write them, made of our networks.

The names, in their order, are read off their models: modules in the order of their constructors.
"""

import argparse
from collections import OrderedDict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from repro.models import build
from tests.models.forward import random_images


def bn(*modules: str) -> list[str]:
    parts = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    return [f"{module}.{part}" for module in modules for part in parts]


def conv_bn(module: str, number: int) -> list[str]:
    return [f"{module}conv{number}.weight", *bn(f"{module}bn{number}")]


def linear(module: str) -> list[str]:
    return [f"{module}.weight", f"{module}.bias"]


def resnet(n: int, *, x4: bool = False) -> Iterator[str]:
    yield from conv_bn("", 1)
    for stage in (1, 2, 3):
        for i in range(n):
            block = f"layer{stage}.{i}."
            yield from (*conv_bn(block, 1), *conv_bn(block, 2))
            if i == 0 and (stage > 1 or x4):
                yield from (f"{block}downsample.0.weight", *bn(f"{block}downsample.1"))
    yield from linear("fc")


def resnet50() -> Iterator[str]:
    yield from conv_bn("", 1)
    for stage, n in enumerate((3, 4, 6, 3), start=1):
        for i in range(n):
            block = f"layer{stage}.{i}."
            yield from (*conv_bn(block, 1), *conv_bn(block, 2), *conv_bn(block, 3))
            if i == 0:
                yield from (f"{block}shortcut.0.weight", *bn(f"{block}shortcut.1"))
    yield from linear("linear")


def wrn(n: int, *, widen: int) -> Iterator[str]:
    yield "conv1.weight"
    for stage in (1, 2, 3):
        for i in range(n):
            block = f"block{stage}.layer.{i}."
            yield from (*bn(f"{block}bn1"), f"{block}conv1.weight")
            yield from (*bn(f"{block}bn2"), f"{block}conv2.weight")
            if i == 0 and (stage > 1 or widen > 1):
                yield f"{block}convShortcut.weight"
    yield from (*bn("bn1"), *linear("fc"))


def vgg(convolutions: int) -> Iterator[str]:
    for stage in range(5):
        for i in range(convolutions):  # convolution, BatchNorm, ReLU
            yield from (*linear(f"block{stage}.{3 * i}"), *bn(f"block{stage}.{3 * i + 1}"))
    yield from linear("classifier")


def mobilenet() -> Iterator[str]:
    yield from ("conv1.0.weight", *bn("conv1.1"))
    for stage, n in enumerate((1, 2, 3, 4, 3, 3, 1)):
        for i in range(n):
            for place in (0, 3, 6):
                block = f"blocks.{stage}.{i}.conv."
                yield from (f"{block}{place}.weight", *bn(f"{block}{place + 1}"))
    yield from ("conv2.0.weight", *bn("conv2.1"), *linear("classifier.0"))


def shufflenet(first: int) -> Iterator[str]:
    """``first``: convolutions of a stage's first unit, 3 in V1; V2 has one more at its end."""
    yield from conv_bn("", 1)
    for stage, n in ((1, 4), (2, 8), (3, 4)):
        for i in range(n):
            for number in range(1, (first if i == 0 else 3) + 1):
                yield from conv_bn(f"layer{stage}.{i}.", number)
    yield from (*(conv_bn("", 2) if first == 5 else ()), *linear("linear"))


NAMES = {
    "resnet14": lambda: resnet(2),
    "resnet8x4": lambda: resnet(1, x4=True),
    "ResNet50": resnet50,
    "wrn_16_1": lambda: wrn(2, widen=1),
    "wrn_16_2": lambda: wrn(2, widen=2),
    "vgg8": lambda: vgg(1),
    "vgg13": lambda: vgg(2),
    "MobileNetV2": mobilenet,
    "ShuffleV1": lambda: shufflenet(3),
    "ShuffleV2": lambda: shufflenet(5),
    "resnet8": lambda: resnet(1),
    "resnet20": lambda: resnet(3),
}


@cache
def network(name: str, seed: int = 0) -> nn.Module:
    """With affine maps and statistics in its BatchNorms, as after a training."""
    model = build(name, num_classes=100, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.uniform_(-0.3, 0.3, generator=generator)
            module.momentum = 1.0  # the running statistics become the batch's
    model(random_images(4, seed=1))
    return model.eval()


def state_dict(name: str, seed: int = 0) -> "OrderedDict[str, Tensor]":
    """In the other suites' names and order; BatchNorms have counted their batches."""
    tensors = network(name, seed).state_dict().values()
    named = zip(NAMES[name](), tensors, strict=True)
    return OrderedDict((n, t + 187_680 if n.endswith("tracked") else t.clone()) for n, t in named)


def optimiser() -> dict[str, Any]:
    """Its state after a decay: the rate is a NumPy number, as numpy.sum makes it."""
    weight = nn.Parameter(torch.ones(2))
    sgd = torch.optim.SGD([weight], lr=0.05, momentum=0.9)
    weight.grad = torch.ones(2)
    sgd.step()
    sgd.param_groups[0]["lr"] = 0.05 * 0.1 ** np.sum(np.asarray([1, 2, 3]) > 0)
    return sgd.state_dict()


def repdistiller(name: str, seed: int = 0, **more: Any) -> dict[str, Any]:
    """``more``: "accuracy" and "epoch" of ckpt_epoch_240.pth, "best_acc" of the best, "opt"."""
    return {"model": state_dict(name, seed), "optimizer": optimiser(), **more}


def options() -> argparse.Namespace:
    return argparse.Namespace(model="resnet56", lr_decay_epochs=[150, 180, 210], trial=0)


def mdistiller(name: str, seed: int = 0, **more: Any) -> dict[str, Any]:
    """ "best" of a distillation from a resnet14: student, teacher and a layer of the method."""
    model = {f"module.student.{n}": t for n, t in state_dict(name, seed).items()}
    model |= {f"module.teacher.{n}": t for n, t in state_dict("resnet14").items()}
    model["module.conv_reg.weight"] = torch.ones(64, 64, 1, 1)
    return {"epoch": 240, "model": OrderedDict(model), "optimizer": optimiser(), **more}


def save(content: object, path: Path, *, zipped: bool = True) -> Path:
    """``zipped=False``: as PyTorch before 1.6 wrote it."""
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path
