"""Under torchrun, the processes beside rank 0: they train along and write nothing."""

import signal
from contextlib import suppress
from typing import Any

from torch import nn

from repro.cohort_records import States
from repro.jobs import CohortJob
from repro.plan import Cohort
from repro.resume import Place
from repro.runtime import Runtime
from repro.spec import Run
from repro.train.cohort import EpochReport
from repro.train.ranks import Ended
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

    What is exchanged is exchanged by ``CohortJob``'s own lines, so in the same order.
    """

    def _stop(self, error: BaseException) -> None:
        self._last(error)  # rank 0 asks for the sums

    def _open(self, run: Run, adapter: nn.Module | None) -> Student:
        """From its first weights: rank 0's values come when they are distributed."""
        return Student(run, initial(run, self.runtime.device), adapter)

    def _write(
        self,
        trained: list[Student],
        report: EpochReport,
        entries: dict[str, dict[str, Any]],
        states: States,
    ) -> None: ...

    def _save(self, states: States, place: Place) -> None: ...

    def _states(self, *, within: bool = False) -> States:
        for student in self.students.values() if within else ():
            student.state_within()  # sums over all ranks
        return {}
