"""The one training loop: teachers, baselines and students alike."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from repro.data.batches import TrainingImages, epoch_views, parts
from repro.data.decoding import FolderTraining
from repro.train.ranks import ALONE, Ranks
from repro.train.step import CohortStep
from repro.train.student import Evaluation, Student, end_epoch

Metrics = dict[str, float | list[float]]


@dataclass(frozen=True)
class CohortData:
    """The images of one stream on the training device, and its evaluation batches.

    ``fingerprint``: of the training images, independent of their order. ``ranks``: the processes
    that each take a share of every batch; ``evaluation`` has this one's share of the images.
    """

    training: TrainingImages | FolderTraining
    evaluation: Evaluation
    num_evaluated: int
    fingerprint: str = ""
    ranks: Ranks = ALONE


@dataclass(frozen=True)
class Within:
    """What happens within epochs. ``tick`` runs before every step and may raise to stop;
    ``between`` is told the epoch, the batch and the step that comes. ``first_part``: how many
    batches of the first epoch were trained on before."""

    tick: Callable[[], None] = lambda: None
    between: Callable[[int, int, CohortStep], None] = lambda _epoch, _part, _step: None
    first_part: int = 0


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
    within: Within = Within(),
) -> Iterator[EpochReport]:
    """Train every student on the same batches; yield one EpochReport per epoch.

    ``step`` (``make_cohort_step``) knows the teacher and the images. All students share the stream
    of the first. A student with a non-finite metric, or that is ``dropped``, leaves the
    cohort, its neighbours go on as if alone. Where ``within.tick`` raises, the epoch in progress
    leaves no trace outside the students.
    """
    ranks, tick = data.ranks, within.tick
    active, stream, count = list(students), students[0].run.stream, len(data.training.labels)
    for epoch in range(first_epoch, stream.epochs):
        done = within.first_part if epoch == first_epoch else 0
        for student in active:
            student.begin_epoch(epoch, afresh=done == 0)
        shares = [ranks.share(part) for part in parts(count, stream.batch_size)][done:]
        step.begin(active, epoch_views(stream, trial, epoch, count), shares)
        try:
            for number, share in enumerate(shares, start=done):
                ranks.agreed(tick)
                within.between(epoch, number, step)
                step(share)
        finally:
            step.end()
        report = EpochReport(epoch, end_epoch(active, epoch, count, data.evaluation, tick))
        yield report
        left = {s.key for s in active if not (s.dropped or report.not_finite(s.key))}
        kept = ranks.said(left)
        active = [s for s in active if s.key in kept]
        if not active:
            return
