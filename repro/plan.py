"""In which order runs are trained, and which share a batch stream. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from repro.spec import Run, key, uses_teacher

Wave = tuple["Cohort", ...]


@dataclass(frozen=True)
class Cohort:
    """Runs that share stream, trial, teacher and precision and continue at the same epoch."""

    runs: tuple[Run, ...]
    first_epoch: int = 0

    @property
    def teacher(self) -> Run | None:
        """The network that must be finished first; None where every loss ignores the teacher."""
        return next((run.teacher for run in self.runs if uses_teacher(run.loss)), None)

    @property
    def label(self) -> str:
        """Such as ``resnet56:resnet20 trial 0``."""
        pairs = ", ".join(dict.fromkeys(run.pair for run in self.runs))
        return f"{pairs} trial {self.runs[0].trial}"


def plan(
    runs: Iterable[Run], finished: set[str], next_epoch: Mapping[str, int], max_cohort: int = 8
) -> tuple[Wave, ...]:
    """Waves of cohorts: everything in a wave can run once the waves before it are finished.

    ``finished``: keys that are never trained again. ``next_epoch``: where interrupted runs go on;
    the members of a cohort can be at different epochs after a kill, and are then grouped apart.
    """
    groups: dict[tuple[int, object], list[Run]] = defaultdict(list)
    for run in runs:
        if key(run) not in finished:
            groups[_depth(run), _shared(run, next_epoch)].append(run)
    waves: dict[int, list[Cohort]] = defaultdict(list)
    for (depth, _), members in groups.items():
        first = next_epoch.get(key(members[0]), 0)
        for start in range(0, len(members), max_cohort):
            waves[depth].append(Cohort(tuple(members[start : start + max_cohort]), first))
    return tuple(tuple(waves[depth]) for depth in sorted(waves))


def _depth(run: Run) -> int:
    return 0 if run.teacher is None else 1 + _depth(run.teacher)


def _shared(run: Run, next_epoch: Mapping[str, int]) -> tuple[object, ...]:
    teacher = key(run.teacher) if run.teacher else None
    return run.stream, run.trial, teacher, run.precision, next_epoch.get(key(run), 0)


def epoch_macs(cohort: Cohort, macs: Callable[[str], int], images: int, evaluated: int) -> float:
    """Multiply-accumulates of one epoch on ``images`` training and ``evaluated`` test images.

    Three passes a student image (a backward pass costs two forward ones), one a teacher or test
    image.
    """
    students = sum(macs(run.network) for run in cohort.runs)
    teacher = macs(cohort.teacher.network) if cohort.teacher else 0
    return float(images * (3 * students + teacher) + evaluated * students)


def epochs_left(cohort: Cohort) -> int:
    return cohort.runs[0].stream.epochs - cohort.first_epoch
