"""Made-up images, a bank-like teacher, and students in the forms that are compared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from repro.bench.gpu.device import Run
from repro.bench.gpu.lab import Lab
from repro.data.augment import num_views, pad
from repro.data.batches import TrainingImages, Views, epoch_views, take
from repro.data.cifar100 import MEAN, STD
from repro.data.sizes import side_of
from repro.losses import CE, KD, Loss
from repro.outputs import Batch, Outputs
from repro.profiles import PROFILES
from repro.spec import Precision
from repro.spec import Run as Asked
from repro.train.step import RecordedStep, Teacher
from repro.train.student import Student
from repro.train.weights import initial

PROFILE = PROFILES["paper"]
CLASSES = 100
SEED = 0
EPOCH = 30  # past every warm-up of a loss

Given = tuple[Batch, Outputs]


def synthetic_images(lab: Lab) -> TrainingImages:
    """Random pixels and labels in the shape of CIFAR-100, padded, on the device."""
    device, count = lab.device.device, lab.sizes.images
    generator = torch.Generator(device).manual_seed(SEED)
    side = side_of(PROFILE.stream)
    shape = (count, side, side, 3)
    pixels = torch.randint(256, shape, generator=generator, device=device, dtype=torch.uint8)
    labels = torch.randint(CLASSES, (count,), generator=generator, device=device)
    mean, std = (torch.tensor(three, device=device) for three in (MEAN, STD))
    return TrainingImages(pad(pixels), labels, mean, std)


class TableTeacher:
    """Random logits by view and image, float16, looked up as in ``repro.train.bank``."""

    def __init__(self, lab: Lab) -> None:
        shape = (num_views(PROFILE.stream.augment), lab.sizes.images, CLASSES)
        self.table = torch.empty(shape, dtype=torch.float16, device=lab.device.device).normal_()

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Outputs:
        return Outputs(self.table[batch.views, batch.indices].float())


@dataclass(frozen=True, eq=False)
class Bench:
    """The images, a teacher and the views of an epoch: made once, shared by an experiment."""

    lab: Lab
    images: TrainingImages
    teacher: Teacher
    views: Views

    def feed(self, teacher: Teacher | None = None) -> "Feed":
        return Feed(self, teacher or self.teacher)

    def students(
        self,
        count: int,
        network: str | None = None,
        loss: Loss | None = None,
        precision: Precision = "fp32",
    ) -> list[Student]:
        """``count`` students that differ by their weights, at an epoch past every warm-up."""
        name = network or self.lab.sizes.student
        students = []
        for run in runs_of(name, loss or KD(), count, precision, self.lab.sizes.batch):
            students.append(Student(run, initial(run, self.lab.device.device)))
            students[-1].begin_epoch(EPOCH)
        return students

    def lanes(self, students: Sequence[Student], teacher: Teacher | None = None) -> Run:
        """The suite's engine: ``RecordedStep``, a lane a student, recorded before it is run."""
        step = RecordedStep(teacher or self.teacher, self.images, self.lab.device.lane)
        step.begin(students, self.views)
        part = slice(0, self.lab.sizes.batch)

        def run(times: int) -> None:  # lanes need not follow: every block begins synchronised
            for _ in range(times):
                step(part)
            step.end()

        run(RecordedStep.RING)  # records every place
        return run


def make_bench(lab: Lab) -> Bench:
    views = epoch_views(PROFILE.stream, 0, 0, lab.sizes.images)
    return Bench(lab, synthetic_images(lab), TableTeacher(lab), views.to(lab.device.device))


def runs_of(
    network: str, loss: Loss, count: int, precision: Precision, batch: int
) -> tuple[Asked, ...]:
    """Runs of the paper's profile that differ by trial."""
    stream = replace(PROFILE.stream, batch_size=batch)
    return tuple(
        Asked(
            network=network,
            loss=loss,
            stream=stream,
            optim=PROFILE.optim(network),
            trial=trial,
            teacher=Asked(network="resnet56", loss=CE(), stream=stream, optim=PROFILE.optim("")),
            precision=precision,
        )
        for trial in range(count)
    )


class Feed:
    """The next batch and the teacher's outputs for it, by the operations of ``RecordedStep``."""

    def __init__(self, bench: Bench, teacher: Teacher) -> None:
        self.bench, self.teacher = bench, teacher
        device = bench.lab.device.device
        self.position = torch.zeros((), dtype=torch.int64, device=device)

    def __call__(self) -> Given:
        rows = self.position + torch.arange(self.bench.lab.sizes.batch, device=self.position.device)
        rows %= len(self.bench.images.labels)
        batch = take(self.bench.images, self.bench.views[rows])
        outputs = self.teacher(batch)
        self.position.add_(len(rows))
        return batch, outputs


def learning(students: Sequence[Student]) -> list[Callable[[Given], None]]:
    """A branch for each student."""
    return [partial(_learn, student) for student in students]


def _learn(student: Student, given: Given) -> None:
    student.learn(*given)


def in_one_order(feed: Feed, students: Sequence[Student]) -> Callable[[], None]:
    """The step as one chain: feed, then student after student."""

    def work() -> None:
        given = feed()
        for student in students:
            student.learn(*given)

    return work


def difference(first: Student, second: Student) -> dict[str, float]:
    """The largest absolute differences of two students' tensors, by kind."""
    kinds: dict[str, list[tuple[Tensor, Tensor]]] = {"model": [], "momentum": []}
    mine, other = first.state(), second.state()
    for name, tensor in mine.items():
        kinds[name.split(".")[0]].append((tensor, other[name]))
    kinds["sums"] = [(total, second.sums[name]) for name, total in first.sums.items()]
    return {
        kind: max(((a.double() - b.double()).abs().max().item() for a, b in pairs), default=0.0)
        for kind, pairs in kinds.items()
    }
