"""The suite's own engine at work: a cohort's steps, and the pieces of a step alone."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from repro.bench.cases import PROFILE, Case
from repro.bench.inputs import BATCH, CLASSES, SEED, Inputs, settle
from repro.bench.timing import Work
from repro.data.augment import num_views
from repro.data.batches import batches, epoch_views, parts
from repro.losses import KD
from repro.outputs import Batch, Outputs
from repro.train.bank import MEMORY_MARGIN_BYTES, BankTeacher, NoBank, free_memory_bytes
from repro.train.graphs import CudaLane
from repro.train.step import Teacher, make_cohort_step
from repro.train.student import Student
from repro.train.teacher import LiveTeacher
from repro.train.weights import initial

STREAM = PROFILE.stream
TRIAL = 0  # whose batches the cohort sees


def teacher_of(case: Case, inputs: Inputs) -> Teacher:
    """The case's source of teacher outputs; a bank holds random logits, which cost the same."""
    if case.teacher == "live":
        run = case.teacher_run()
        model = settle(initial(run, inputs.device), inputs, inputs.device)
        return LiveTeacher(model, case.precision)
    return BankTeacher(random_table(len(inputs.images), inputs.device))


def random_table(num_images: int, device: torch.device) -> Tensor:
    """Logits [views, N, 100] float16, as large as a bank's. Raises NoBank where memory is short."""
    views = num_views(STREAM.augment)
    need, free = 2 * views * num_images * CLASSES, free_memory_bytes(device)
    if need + MEMORY_MARGIN_BYTES[device.type] > free:
        raise NoBank(f"a bank needs {need / 1e9:.1f} GB of memory, and {free / 1e9:.1f} are free")
    row = torch.randn(num_images, CLASSES, generator=torch.Generator().manual_seed(SEED))
    return row.to(device, torch.float16).repeat(views, 1, 1)


def students_of(case: Case, device: torch.device) -> list[Student]:
    return [Student(run, initial(run, device)) for run in case.runs()]


def train_cohort(case: Case, inputs: Inputs) -> Work:
    """The cohort trains for ever; a step gives 64 images to each student."""
    step = make_cohort_step(teacher_of(case, inputs), inputs.training)
    students, count = students_of(case, inputs.device), len(inputs.images)
    for epoch in itertools.cycle(range(STREAM.epochs)):
        for student in students:
            student.begin_epoch(epoch)
        step.begin(students, epoch_views(STREAM, TRIAL, epoch, count))
        for part in parts(count, STREAM.batch_size):
            step(part)
            yield (part.stop - part.start) * len(students)
        step.end()


@dataclass(frozen=True, eq=False)
class Ready:
    """A batch and a teacher's logits for it, made before."""

    batch: Batch
    outputs: Outputs


def ready(inputs: Inputs) -> Ready:
    batch = next(batches(inputs.training, STREAM, TRIAL, epoch=0))
    generator = torch.Generator().manual_seed(SEED)
    logits = torch.randn(len(batch.labels), CLASSES, generator=generator).to(inputs.device)
    return Ready(batch, Outputs(logits))


def student_alone(case: Case, inputs: Inputs) -> Work:
    """One student on a ready batch with ready teacher outputs: nothing else is left to do."""
    student, given = students_of(case, inputs.device)[0], ready(inputs)
    student.begin_epoch(0)
    return _again(lambda: student.learn(given.batch, given.outputs), inputs.device)


def data_alone(inputs: Inputs) -> Work:
    """Making batches of 64 (crops, flips, normalising)."""
    epochs = (batches(inputs.training, STREAM, TRIAL, epoch) for epoch in itertools.count())
    made = itertools.chain.from_iterable(epochs)
    return _again(lambda: next(made), inputs.device)


def teacher_alone(case: Case, inputs: Inputs) -> Work:
    """The teacher's outputs for a ready batch."""
    teacher, given = teacher_of(case, inputs), ready(inputs)
    return _again(lambda: teacher(given.batch), inputs.device)


def loss_alone(inputs: Inputs) -> Work:
    """KD forward and backward on detached logits [64, 100]."""
    given, loss = ready(inputs), KD()

    def work() -> None:
        logits = given.outputs.logits.flip(0).requires_grad_()
        terms = loss(Outputs(logits), given.outputs, given.batch)
        torch.stack(tuple(terms.values())).sum().backward()

    return _again(work, inputs.device)


def _again(work: Callable[[], object], device: torch.device) -> Work:
    """``work`` for ever, on CUDA recorded once and replayed, as the engine does."""
    if device.type == "cuda":
        lane = CudaLane(device)
        recording = lane.record(work)
        while True:
            lane.replay(recording, after=())
            yield BATCH
    while True:
        work()
        yield BATCH
