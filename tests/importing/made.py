"""Made CIFAR-100: the labels say how often a network of ``suites`` is right."""

from pathlib import Path

import torch

from repro.data.batches import evaluation_batches
from repro.data.cifar100 import MEAN, STD
from repro.data.cifar100_names import CLASSES, SUPERCLASS_OF
from repro.data.dataset import Dataset, Images
from repro.importing import imported_run
from repro.train.evaluate import predict
from repro.train.foreign import fitted, read_foreign
from repro.train.weights import restored
from tests.data import fake
from tests.tiny import CPU

TEST = 200  # images: one is half a point


def dataset(checkpoint: Path, network: str, top1: float) -> Dataset:
    """Whose test labels are what the checkpoint's half-precision weights answer, but for some."""
    images = fake.images(TEST, num_classes=100, seed=1)
    run = imported_run(network, "0" * 64)
    model = restored(run, fitted(read_foreign(checkpoint), network), CPU)
    logits, _ = predict(model, evaluation_batches(images, MEAN, STD, CPU))
    labels = logits.argmax(dim=1)
    wrong = torch.arange(TEST) >= round(TEST * top1 / 100)
    test = Images(images.pixels, torch.where(wrong, (labels + 1) % 100, labels))
    return Dataset(
        name="cifar100",
        train=fake.images(100, num_classes=100),
        test=test,
        class_names=CLASSES,
        superclass_of=SUPERCLASS_OF,
        mean=MEAN,
        std=STD,
    )
