"""A finished network as a program of its own: it needs PyTorch alone, and none of this code."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from repro import data
from repro.data import cifar100, imagenet
from repro.data.sizes import classes_of, side_of
from repro.records import Record
from repro.spec import Run
from repro.train.weights import load_half


class Logits(nn.Module):
    """The network's logits alone: normalised images [B, 3, H, W] to [B, K], float32."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images).logits
        return logits


@dataclass(frozen=True)
class Inputs:
    """What a network wants: images of ``pixels`` x ``pixels``, in [0, 1], then (x - mean) / std by
    channel."""

    pixels: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    num_classes: int


def inputs_of(run: Run) -> Inputs:
    """Of the run's data set; CIFAR-100 or a folder of images need not be there."""
    stream = run.stream
    norms = {"cifar100": (cifar100.MEAN, cifar100.STD), "imagenet": (imagenet.MEAN, imagenet.STD)}
    if stream.dataset in norms:
        return Inputs(side_of(stream), *norms[stream.dataset], classes_of(stream))
    dataset = data.load(stream.dataset, Path())
    return Inputs(side_of(stream), dataset.mean, dataset.std, classes_of(stream))


def logits_of(record: Record) -> Logits:
    """A finished run's network on the CPU, in eval mode. Raises UserError where it is damaged."""
    network = load_half(record.run(), record.weights, torch.device("cpu"))
    return Logits(network).eval().requires_grad_(False)
