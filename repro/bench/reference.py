"""The usual loop: what the suite is compared with. It is FIXED and must not be improved.

It is a student's training loop as public distillation code writes it: a torchvision-style dataset
that gives PIL images to RandomCrop, RandomHorizontalFlip, ToTensor and Normalize; a DataLoader with
2 workers (and pinned memory on CUDA); contiguous float32 networks run eagerly; one student, with a
teacher forward pass of its own in every step; Hinton's loss in plain functions; torch.optim.SGD as
it comes; loss and accuracy read by ``.item()`` in every step; cudnn.benchmark on CUDA. Each of
these costs time, which is the point: made faster, it would no longer be what others run.

Two things make it faster than it is on its own. It runs in the suite's process, with its short
OpenMP spinning and its kept memory (``repro.__main__``, ``environment.keep_freed_memory``); and its
networks are the suite's, so what makes a layer faster makes it faster here too.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from repro import models
from repro.bench.cases import PROFILE
from repro.bench.inputs import BATCH, CLASSES, Inputs, settle
from repro.bench.timing import Work
from repro.data.dataset import Images
from repro.data.torchvision_cure import import_torchvision

WORKERS = 2
# The first batch waits for the workers' start; they prefetch two batches each, so after so many
# steps the queue is as full as it will be at the end of the block.
WARM_UP_STEPS = 1 + 2 * WORKERS

TEMPERATURE, CE_WEIGHT, KD_WEIGHT = 4.0, 0.1, 0.9  # RepDistiller scripts/run_cifar_distill.sh


class Pictures(Dataset[tuple[Tensor, int]]):
    """As torchvision.datasets.CIFAR100: an array in memory, a PIL image an item, a transform."""

    def __init__(self, images: Images, transform: Callable[[Image.Image], Tensor]) -> None:
        self.pixels, self.labels = images.pixels.numpy(), images.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def make_loader(inputs: Inputs, device: torch.device) -> DataLoader[tuple[Tensor, int]]:
    """Shuffled batches of 64: images [B, 3, 32, 32] float32, labels [B] int64."""
    import_torchvision()
    from torchvision import transforms

    transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(inputs.mean, inputs.std),
        ]
    )
    return DataLoader(
        Pictures(inputs.images, transform),
        batch_size=BATCH,
        shuffle=True,
        num_workers=WORKERS,
        pin_memory=device.type == "cuda",
    )


def make_networks(pair: str, inputs: Inputs) -> tuple[nn.Module, nn.Module, torch.optim.SGD]:
    """Teacher, student and the student's optimiser, on the inputs' device."""
    names = pair.split(":")
    teacher, student = (
        models.build(name, num_classes=CLASSES, seed=seed).to(inputs.device)
        for seed, name in enumerate(names)
    )
    optim = PROFILE.optim(names[1])
    optimizer = torch.optim.SGD(
        student.parameters(),
        lr=optim.lr,
        momentum=optim.momentum,
        weight_decay=optim.weight_decay,
    )
    return settle(teacher, inputs, inputs.device), student.train(), optimizer


def train_step(
    teacher: nn.Module,
    student: nn.Module,
    optimizer: torch.optim.Optimizer,
    images: Tensor,
    labels: Tensor,
) -> tuple[float, float]:
    """One step on ``images`` [B, 3, 32, 32], ``labels`` [B]: the loss and the hits in percent."""
    with torch.no_grad():
        teacher_logits = teacher(images).logits
    logits = student(images).logits
    loss_ce = F.cross_entropy(logits, labels)
    p_s = F.log_softmax(logits / TEMPERATURE, dim=1)
    p_t = F.softmax(teacher_logits / TEMPERATURE, dim=1)
    loss_kd = F.kl_div(p_s, p_t, reduction="batchmean") * TEMPERATURE**2
    loss = CE_WEIGHT * loss_ce + KD_WEIGHT * loss_kd
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    accuracy = (logits.argmax(dim=1) == labels).float().mean() * 100
    return loss.item(), accuracy.item()


def usual_loop(pair: str, inputs: Inputs) -> Work:
    """Trains for ever; closing the generator shuts the workers down."""
    device = inputs.device
    teacher, student, optimizer = make_networks(pair, inputs)
    loader = make_loader(inputs, device)
    with cudnn_benchmark():
        for _epoch in itertools.count():
            for images, labels in loader:
                images, labels = images.to(device), labels.to(device)
                train_step(teacher, student, optimizer, images, labels)
                yield len(labels)


@contextmanager
def cudnn_benchmark() -> Iterator[None]:
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
