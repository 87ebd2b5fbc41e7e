"""The one training loop: teachers, baselines and students alike."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from repro.data.batches import TrainingImages, epoch_views, parts
from repro.train.step import CohortStep
from repro.train.student import Evaluation, Student

Metrics = dict[str, float | list[float]]


@dataclass(frozen=True)
class CohortData:
    """The images of one stream on the training device, and its evaluation batches.

    ``fingerprint``: of the training images, independent of their order.
    """

    training: TrainingImages
    evaluation: Evaluation
    num_evaluated: int
    fingerprint: str = ""


@dataclass(frozen=True)
class EpochReport:
    """What every student of a cohort did in one epoch (counted from 0)."""

    epoch: int
    metrics: dict[str, Metrics]  # by the run's key

    def not_finite(self, key: str) -> list[str]:
        """Names of a student's metrics that are NaN or infinite: it has failed."""
        values = self.metrics[key].items()
        return [n for n, v in values if isinstance(v, float) and not math.isfinite(v)]


def train_cohort(
    students: Sequence[Student],
    step: CohortStep,
    data: CohortData,
    trial: int,
    *,
    first_epoch: int = 0,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[EpochReport]:
    """Train every student on the same batches; yield one EpochReport per epoch.

    ``step`` (``make_cohort_step``) knows the teacher and the images. All students share the stream
    of the first. A student with a non-finite metric, or that is ``dropped``, leaves the
    cohort, its neighbours go on as if alone. ``tick`` runs before every step and may raise to stop:
    the epoch in progress then leaves no trace outside the students.
    """
    active, stream, count = list(students), students[0].run.stream, len(data.training.labels)
    for epoch in range(first_epoch, stream.epochs):
        for student in active:
            student.begin_epoch(epoch)
        step.begin(active, epoch_views(stream, trial, epoch, count))
        try:
            for part in parts(count, stream.batch_size):
                tick()
                step(part)
        finally:
            step.end()
        report = EpochReport(
            epoch, {s.key: s.end_epoch(epoch, count, data.evaluation, tick) for s in active}
        )
        yield report
        active = [s for s in active if not (s.dropped or report.not_finite(s.key))]
        if not active:
            return
