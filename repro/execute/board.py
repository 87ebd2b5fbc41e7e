"""The cohorts of a launch that are still to be trained, and which of them can go now."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from repro.plan import Cohort, Wave
from repro.runtime import Runtime
from repro.spec import Run, key, uses_teacher

RETRY_SECONDS = 2.0  # between two looks at what another process trains


@dataclass(frozen=True)
class Entry:
    """``held``: another process had some of it; ``due``: when to look again (monotonic)."""

    cohort: Cohort
    held: bool = False
    due: float = 0.0


class Board:
    """``blocked``: cohorts, or their parts, whose teacher failed."""

    def __init__(self, waves: Iterable[Wave], runtime: Runtime) -> None:
        self.runtime = runtime
        self.entries = [Entry(cohort) for wave in waves for cohort in wave]
        self.blocked: list[Cohort] = []
        self.busy: list[Cohort] = []
        self.told = False

    def __len__(self) -> int:
        return len(self.entries)

    def clear(self) -> None:
        self.entries.clear()

    def next(self) -> Entry | None:
        """What can go now, in the order of the plan and what others train last; None: later.

        It is busy until ``done`` or ``again``.
        """
        now = time.monotonic()
        awaited: set[Run | None] = set()  # teachers, of which thousands of cohorts ask for a few
        for entry in sorted(self.entries, key=lambda entry: entry.held):
            if entry.due > now or entry.cohort.teacher in awaited:
                continue
            ready, blocked = self._parts(entry.cohort)
            if blocked and self._to_come(blocked.teacher):
                awaited.add(blocked.teacher)
                continue
            self.entries.remove(entry)
            self.blocked += [blocked] if blocked else []
            if ready:
                self.busy.append(ready)
                return replace(entry, cohort=ready)
        return None

    def done(self, entry: Entry, left: tuple[Run, ...] = ()) -> None:
        """``left``: the runs of it that another process has. What is free of them comes last."""
        self.busy.remove(entry.cohort)
        if left:
            due = time.monotonic() + RETRY_SECONDS if entry.held else 0.0
            self.entries.append(Entry(replace(entry.cohort, runs=left), held=True, due=due))

    def again(self, entry: Entry) -> None:
        """It goes back as if it had not been taken."""
        self.busy.remove(entry.cohort)
        self.entries.insert(0, entry)

    def tell_if_only_others_train(self) -> None:
        """Once, so that nobody wonders why nothing happens."""
        if self.told or self.busy or not all(entry.held for entry in self.entries):
            return
        self.told = True
        count = sum(len(entry.cohort.runs) for entry in self.entries)
        self.runtime.progress.line(
            f"waiting for {count} runs that other processes train (`repro status` shows them); "
            "Ctrl-C leaves them to these"
        )

    def _parts(self, cohort: Cohort) -> tuple[Cohort | None, Cohort | None]:
        """The part that can be trained now, and that whose teacher is not finished."""
        teacher = cohort.teacher
        if teacher is None or self.runtime.records.state(key(teacher)) == "FINISHED":
            return cohort, None
        taught = tuple(run for run in cohort.runs if uses_teacher(run.loss))
        others = tuple(run for run in cohort.runs if run not in taught)
        return replace(cohort, runs=others) if others else None, replace(cohort, runs=taught)

    def _to_come(self, teacher: Run | None) -> bool:
        cohorts = (*self.busy, *(entry.cohort for entry in self.entries))
        return teacher is not None and any(
            key(run) == key(teacher) for cohort in cohorts for run in cohort.runs
        )
