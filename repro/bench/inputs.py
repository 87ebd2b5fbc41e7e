"""The images that both sides train on, and a teacher with something to say."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from repro import data
from repro.bench.cases import PROFILE
from repro.data.batches import Channels, TrainingImages, normalise, prepare
from repro.data.cifar100 import MEAN, STD, import_path
from repro.data.dataset import Images
from repro.data.sizes import NUM_CLASSES, NUM_IMAGES

BATCH = PROFILE.stream.batch_size
CLASSES = NUM_CLASSES["cifar100"]
EPOCH_IMAGES = NUM_IMAGES["cifar100"][0]  # of CIFAR-100: what an epoch's seconds refer to
SEED = 0  # of the random images


@dataclass(frozen=True, eq=False)
class Inputs:
    """``what`` in words; ``images`` on the CPU, for the reference; ``training`` on the device."""

    what: str
    images: Images
    mean: Channels
    std: Channels
    training: TrainingImages

    @property
    def device(self) -> torch.device:
        return self.training.padded.device


def random_inputs(device: torch.device, count: int = EPOCH_IMAGES) -> Inputs:
    """Uniform random pixels and labels in the shape of CIFAR-100: speed does not see the motif."""
    generator = torch.Generator().manual_seed(SEED)
    pixels = torch.randint(256, (count, 32, 32, 3), generator=generator, dtype=torch.uint8)
    labels = torch.randint(CLASSES, (count,), generator=generator)
    return _inputs(f"random uint8, seed {SEED}", Images(pixels, labels), (MEAN, STD), device)


def cifar100_inputs(device: torch.device, source: Path, data_dir: Path) -> Inputs:
    """CIFAR-100's training images, imported from ``source``. Raises UserError."""
    import_path(source, data_dir)
    dataset = data.load("cifar100", data_dir)
    assert isinstance(dataset.train, Images)
    return _inputs("CIFAR-100", dataset.train, (dataset.mean, dataset.std), device)


def _inputs(
    what: str, images: Images, statistics: tuple[Channels, Channels], device: torch.device
) -> Inputs:
    """Whole batches only: an epoch's last one of 16 would be recorded anew within a block."""
    whole = images[: len(images) // BATCH * BATCH]
    return Inputs(
        f"{len(whole):,} images, {what}", whole, *statistics, prepare(whole, *statistics, device)
    )


@torch.no_grad()
def settle(model: nn.Module, inputs: Inputs, device: torch.device) -> nn.Module:
    """An untrained teacher in eval mode, its BatchNorm statistics those of one batch.

    With the initial ones the logits of a deep network overflow, and every loss with them.
    """
    pixels = inputs.images.pixels[:BATCH].to(device)
    mean, std = (torch.tensor(t, device=device) for t in (inputs.mean, inputs.std))
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0  # the statistics become the batch's
    model.train()(normalise(pixels, mean, std))
    return model.eval()
