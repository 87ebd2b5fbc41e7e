"""In which order runs are trained, and which share a batch stream. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from repro.spec import Augment, Precision, Run, Stream, key, uses_features, uses_teacher

Wave = tuple["Cohort", ...]
TeacherChoice = Literal["auto", "live", "bank"]  # where a teacher's outputs come from
BANK_MARGIN_PASSES = 8  # a bank is also written, read and kept; below this it is not worth it


@dataclass(frozen=True)
class Cohort:
    """Runs that share stream, trial, teacher and precision and continue at the same place."""

    runs: tuple[Run, ...]
    first_epoch: int = 0
    first_part: int = 0  # how many batches of it they have seen

    @property
    def teacher(self) -> Run | None:
        """The network that must be finished first; None where every loss ignores the teacher."""
        return next((run.teacher for run in self.runs if uses_teacher(run.loss)), None)

    @property
    def uses_features(self) -> bool:
        """Does a loss need more of the teacher than its logits?"""
        return any(uses_teacher(r.loss) and uses_features(r.loss) for r in self.runs)

    @property
    def label(self) -> str:
        """Such as ``resnet56:resnet20 trial 0``."""
        pairs = ", ".join(dict.fromkeys(run.pair for run in self.runs))
        return f"{pairs} trial {self.runs[0].trial}"


def plan(
    runs: Iterable[Run],
    finished: set[str],
    next_epoch: Mapping[str, int],
    max_cohort: int = 8,
    next_part: Mapping[str, int] = MappingProxyType({}),
) -> tuple[Wave, ...]:
    """Waves of cohorts: everything in a wave can run once the waves before it are finished.

    ``finished``: keys that are never trained again. ``next_epoch``: where interrupted runs go on;
    the members of a cohort can be at different epochs after a kill, and are then grouped apart.
    ``next_part``: the batch within it, where a checkpoint was made there.
    """
    groups: dict[tuple[int, object, int, int], list[Run]] = defaultdict(list)
    for run in runs:
        if key(run) not in finished:
            place = next_epoch.get(key(run), 0), next_part.get(key(run), 0)
            groups[_depth(run), _shared(run), *place].append(run)
    waves: dict[int, list[Cohort]] = defaultdict(list)
    for (depth, _, epoch, part), members in groups.items():
        waves[depth] += [Cohort(some, epoch, part) for some in even_parts(members, max_cohort)]
    return tuple(tuple(waves[depth]) for depth in sorted(waves))


def even_parts(members: Sequence[Run], most: int) -> Iterator[tuple[Run, ...]]:
    """As few parts of at most ``most`` as can be, equally large: a cohort of 1 beside one of 8
    would have the teacher to itself."""
    count = -(-len(members) // most)
    for i in range(count):
        yield tuple(members[len(members) * i // count : len(members) * (i + 1) // count])


def largest_first(waves: Iterable[Wave], cost: Callable[[Cohort], float]) -> tuple[Wave, ...]:
    """The costliest cohort of each wave first: several devices that take them in this order end
    nearly together."""
    return tuple(tuple(sorted(wave, key=cost, reverse=True)) for wave in waves)


def _depth(run: Run) -> int:
    return 0 if run.teacher is None else 1 + _depth(run.teacher)


def _shared(run: Run) -> tuple[object, ...]:
    teacher = key(run.teacher) if run.teacher else None
    # apart, as feature methods do without a bank
    features = uses_teacher(run.loss) and uses_features(run.loss)
    return run.stream, run.trial, teacher, run.precision, features


def epoch_macs(
    cohort: Cohort,
    macs: Callable[[str], int],
    images: int,
    evaluated: int,
    *,
    live_teacher: bool = True,
) -> float:
    """Multiply-accumulates of one epoch on ``images`` training and ``evaluated`` test images.

    Three passes a student image (a backward pass costs two forward ones), one a teacher or test
    image; none a teacher image that is looked up in a bank. Adapters are not counted.
    """
    students = sum(macs(run.network) for run in cohort.runs)
    teacher = macs(cohort.teacher.network) if cohort.teacher and live_teacher else 0
    views = 1 if cohort.runs[0].stream.second_view == "none" else 2
    return float(views * images * (3 * students + teacher) + evaluated * students)


def epochs_left(cohort: Cohort) -> int:
    return cohort.runs[0].stream.epochs - cohort.first_epoch


@dataclass(frozen=True)
class TeacherUse:
    """A teacher on the images of a stream: what one bank of logits serves."""

    teacher: str  # its key
    images: Stream  # with neutral batch size and epochs, which do not matter
    precision: Precision

    @property
    def augment(self) -> Augment:
        return self.images.augment


def tabled(stream: Stream) -> bool:
    """Can a teacher's answers to all that the stream shows of an image stand in a table?"""
    return stream.second_view == "none" and stream.augment != "resized-crop-flip"


def teacher_use(cohort: Cohort) -> TeacherUse | None:
    """None where a table of logits cannot serve: no teacher, its features, or a second view."""
    first = cohort.runs[0]
    if cohort.teacher is None or cohort.uses_features or not tabled(first.stream):
        return None
    images = replace(first.stream, batch_size=1, epochs=1, test_per_class=0)
    return TeacherUse(key(cohort.teacher), images, first.precision)


def teacher_passes(waves: Iterable[Wave]) -> dict[TeacherUse, int]:
    """How often the planned cohorts would run each teacher over the training set."""
    passes: dict[TeacherUse, int] = defaultdict(int)
    for cohort in (cohort for wave in waves for cohort in wave):
        use = teacher_use(cohort)
        if use is not None:
            passes[use] += epochs_left(cohort)
    return dict(passes)


@dataclass(frozen=True)
class Part:
    """What one of several jobs of a launch trains. ``keys``: of its runs; ``passes``: what the
    whole launch has planned (``teacher_passes``), so that parts choose banks as the whole would."""

    keys: frozenset[str]
    passes: Mapping[TeacherUse, int]


def bank_pays(passes: int, missing_views: int) -> bool:
    """Is it worth it to make a bank's missing views (a pass each) in place of ``passes``?

    A bank that is complete costs its loading alone.
    """
    return passes > missing_views + BANK_MARGIN_PASSES if missing_views else passes > 0
