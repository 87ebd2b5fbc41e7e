"""Under torchrun, the processes beside rank 0: they train along and write nothing."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from torch import nn

from repro.jobs import CohortJob
from repro.plan import Cohort
from repro.runtime import Runtime
from repro.spec import Run
from repro.train.cohort import EpochReport
from repro.train.ranks import Ended
from repro.train.step import CohortStep
from repro.train.student import Student
from repro.train.weights import initial


class Silent:
    """Progress of which rank 0 tells."""

    def cohort(self, cohort: Cohort, images: int) -> None: ...
    def epoch(self, cohort: Cohort, report: EpochReport, seconds: float) -> None: ...
    def line(self, text: str) -> None: ...


def follow(runtime: Runtime) -> None:
    """Train every cohort that rank 0 does, until it says that there is none left.

    Signals, which a terminal and torchrun send to all, are rank 0's to hear: it stops all at one
    place.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while (cohort := runtime.ranks.said()) is not None:
        with suppress(Ended):
            FollowerJob(cohort, runtime).run()


class FollowerJob(CohortJob):
    """Rank 0's cohort on this process's share of the images: every step, and no effect.

    What is exchanged is exchanged in the same order as in ``CohortJob``.
    """

    def run(self) -> None:
        try:
            self._train()
        except Ended as error:
            self._last(error)  # rank 0 asks for the sums
            raise

    def _announce(self) -> None: ...

    def _open(self, run: Run, adapter: nn.Module | None) -> Student:
        """From its first weights: rank 0's values come when they are distributed."""
        return Student(run, initial(run, self.runtime.device), adapter)

    def _between(self, epoch: int, part: int, step: CohortStep) -> None:  # noqa: ARG002
        self.place = epoch, part
        if (epoch, part) == (self.cohort.first_epoch, self.cohort.first_part):
            return
        if self.runtime.checkpoint_seconds is not None and self.runtime.ranks.said():
            self._states(within=True)

    @contextmanager
    def _ours(self, student: Student) -> Iterator[None]:  # noqa: ARG002
        yield

    def _epoch(self, report: EpochReport, seconds: float) -> None:
        self.place = None
        self.students = {k: s for k, s in self.students.items() if not report.not_finite(k)}
        if report.epoch < self.epochs - 1:
            self._before_epoch(seconds)

    def _finish(self, student: Student) -> None:
        del self.students[student.key]
