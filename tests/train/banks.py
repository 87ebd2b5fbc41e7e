"""Small banks: 70 digits, or a few images as of CIFAR, and teachers to fill them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from repro.data.batches import TrainingImages, prepare
from repro.outputs import Batch, Outputs
from repro.spec import Augment, Stream
from repro.train.bank import Bank, fill
from repro.train.step import Teacher
from repro.train.teacher import LiveTeacher
from tests import tiny
from tests.data import fake
from tests.train.test_fold import lived_in

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.3)


@dataclass(frozen=True)
class Case:
    """A stream, its images on the CPU, and a teacher that has an opinion on them."""

    stream: Stream
    images: TrainingImages
    teacher: Teacher
    num_classes: int = 10

    def bank(self, root: Path, **changes: Any) -> Bank:
        bank = Bank(
            root=root,
            teacher="teacher",
            weights="weights",
            images="images",
            num_images=len(self.images.labels),
            num_classes=self.num_classes,
            augment=self.stream.augment,
            precision="fp32",
        )
        return replace(bank, **changes)


def digits(augment: Augment) -> Case:
    stream = replace(tiny.STREAM, augment=augment)
    return Case(stream, tiny.cohort_data().training, LiveTeacher(lived_in("resnet8"), "fp32"))


def cifar() -> Case:
    images = prepare(fake.images(21, num_classes=20), MEAN, STD, "cpu")
    return Case(Stream(batch_size=8), images, LiveTeacher(lived_in("wrn_16_1", 20), "fp32"), 20)


def quick() -> Case:
    """Digits in 81 views, and a teacher that looks at ten of the pixels."""
    return replace(digits("crop"), teacher=ten_pixels)


def ten_pixels(batch: Batch) -> Outputs:
    return Outputs(batch.images[:, 0, 3:13, 7])


def make(case: Case, bank: Bank, **options: Any) -> tuple[Tensor, int]:
    """The filled table, and how many views were made."""
    table = torch.full(bank.shape, torch.nan, dtype=torch.float16)
    given = {"make_teacher": lambda: case.teacher} | options
    return table, sum(fill(table, bank, case.images, **given))
