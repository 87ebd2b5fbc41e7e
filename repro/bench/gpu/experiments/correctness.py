"""Does a recorded step do what an eager one does, alone and beside others? Parts of E2."""

from collections.abc import Sequence

import torch
from torch import Tensor

from repro.bench.gpu.device import cudnn
from repro.bench.gpu.lab import Row
from repro.bench.gpu.students import Bench, Given, difference
from repro.data.batches import parts
from repro.spec import Precision
from repro.train.step import CohortStep, EagerStep, RecordedStep
from repro.train.student import Student

CHECKED_STEPS = 20
BESIDE = 3  # students beside the one that is compared with itself alone


def ring(bench: Bench) -> Row:
    """A batch in one place of the ring, read while the other place is filled: what changes in it?

    Recordings that share a pool reuse one another's temporary memory, kept results or not.
    """
    lane, feed = bench.lab.device.lane(), bench.feed()
    places = [lane.record(feed) for _ in range(RecordedStep.RING)]
    for place in places:
        lane.replay(place, after=())
    bench.lab.device.synchronize()
    read = kept_tensors(places[-1].kept)
    before = {name: tensor.clone() for name, tensor in read.items()}
    bench.lab.device.synchronize()
    for place in places[:-1]:
        lane.replay(place, after=())
    bench.lab.device.synchronize()
    return {"changed": [name for name, was in before.items() if not torch.equal(was, read[name])]}


def kept_tensors(given: Given) -> dict[str, Tensor]:
    batch, outputs = given
    tensors = {name: value for name, value in vars(batch).items() if value is not None}
    return tensors | {"teacher_logits": outputs.logits}


def recorded_and_eager(bench: Bench, precision: Precision, deterministic: bool) -> Row:
    """The same steps from the same state: recorded, eager, and eager once more (the noise)."""
    with cudnn(benchmark=False, deterministic=deterministic):
        first, again, recorded = (bench.students(1, precision=precision) for _ in range(3))
        for students in (first, again):
            train(bench, EagerStep(bench.teacher, bench.images), students)
        train(bench, recorded_step(bench), recorded)
    return {
        "steps": CHECKED_STEPS,
        "recorded_minus_eager": difference(first[0], recorded[0]),
        "eager_minus_eager": difference(first[0], again[0]),
        "moved": moved(bench, first[0]),
    }


def alone_or_together(bench: Bench) -> Row:
    """A student alone, and the same beside others, both recorded, deterministic."""
    with cudnn(benchmark=False, deterministic=True):
        alone, together = bench.students(1), bench.students(1 + BESIDE)
        train(bench, recorded_step(bench), alone)
        train(bench, recorded_step(bench), together)
    return {"steps": CHECKED_STEPS, "difference": difference(alone[0], together[0])}


def recorded_step(bench: Bench) -> RecordedStep:
    return RecordedStep(bench.teacher, bench.images, bench.lab.device.lane)


def train(bench: Bench, step: CohortStep, students: Sequence[Student]) -> None:
    sizes = bench.lab.sizes
    count = min(CHECKED_STEPS * sizes.batch, sizes.images)
    step.begin(students, bench.views)
    for part in parts(count, sizes.batch):
        step(part)
    step.end()
    bench.lab.device.synchronize()


def moved(bench: Bench, student: Student) -> float:
    """The largest change of a weight since the start: what the differences compare with."""
    (fresh,) = bench.students(1, precision=student.run.precision)
    pairs = zip(student.model.parameters(), fresh.model.parameters(), strict=True)
    changes: list[Tensor] = [(a - b).abs().max() for a, b in pairs]
    return torch.stack(changes).max().item()
