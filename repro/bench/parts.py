"""What the parts of a step cost, each measured alone, and their shares."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from torch import Tensor

from repro.bench import engine
from repro.bench.cases import Case
from repro.bench.inputs import BATCH, EPOCH_IMAGES, Inputs
from repro.bench.timing import Pace, time_block
from repro.records import Record
from repro.train import checkpoint
from repro.train.student import Student, end_epoch

EPOCH_STEPS = -(-EPOCH_IMAGES // BATCH)


@dataclass(frozen=True, kw_only=True)
class PartSeconds:
    """Seconds of the parts, each alone: ``data``, ``teacher`` and ``loss`` (of one student) for a
    batch of 64, ``student``: its whole step with the loss, ``logging`` of one student's epoch."""

    data: float
    teacher: float
    student: float
    loss: float
    logging: float


def shares(parts: PartSeconds, cohort: int) -> dict[str, float]:
    """Each part's share of their sum over a step of the cohort: they were measured apart.

    ``student``: forward, backward and update, without the loss.
    """
    step = {
        "data": parts.data,
        "teacher": parts.teacher,
        "student": cohort * max(0.0, parts.student - parts.loss),
        "loss": cohort * parts.loss,
        "logging": cohort * parts.logging / EPOCH_STEPS,
    }
    total = sum(step.values())
    return {name: seconds / total for name, seconds in step.items()}


def data_seconds(inputs: Inputs, pace: Pace) -> float:
    return time_block(partial(engine.data_alone, inputs), inputs.device, pace).step_seconds


def teacher_seconds(case: Case, inputs: Inputs, pace: Pace) -> float:
    return time_block(partial(engine.teacher_alone, case, inputs), inputs.device, pace).step_seconds


def loss_seconds(inputs: Inputs, pace: Pace) -> float:
    return time_block(partial(engine.loss_alone, inputs), inputs.device, pace).step_seconds


def logging_seconds(case: Case, inputs: Inputs, times: int = 3) -> float:
    """What one epoch of one student leaves on disk: metrics, history line, checkpoint.

    Its metrics are read from the device as ever, after an evaluation on a single image. Without
    MLflow, whose part depends on the store.
    """
    student, given = engine.students_of(case, inputs.device)[0], engine.ready(inputs)
    evaluation = [(given.batch.images[:1], given.batch.labels[:1])]
    seconds = []
    with TemporaryDirectory() as directory:
        record = Record(Path(directory))
        for epoch in range(times):
            student.begin_epoch(epoch)
            student.learn(given.batch, given.outputs)
            seconds.append(_log(student, record, epoch, evaluation))
    return median(seconds)


def _log(
    student: Student, record: Record, epoch: int, evaluation: Iterable[tuple[Tensor, Tensor]]
) -> float:
    began = time.perf_counter()
    metrics = end_epoch([student], epoch, BATCH, lambda: evaluation)[student.key]
    numbers = {name: value for name, value in metrics.items() if not isinstance(value, list)}
    record.append({"epoch": epoch, "seconds": 0.0, "metrics": numbers})
    checkpoint.save(record.checkpoint, student.state(), {"key": student.key, "next_epoch": epoch})
    return time.perf_counter() - began
