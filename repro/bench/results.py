"""From the repeats' speeds to a result: medians, and ratios of what ran side by side. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from repro.bench.cases import PROFILE, Case
from repro.bench.inputs import EPOCH_IMAGES


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """Student images per second of a case, of one student alone, and of the usual loop (None where
    it was left out), measured one after another."""

    student: float
    alone: float
    reference: float | None


@dataclass(frozen=True, kw_only=True)
class Result:
    """A case's repeats, its largest peak, its floor and the shares of its parts."""

    case: Case
    repeats: Sequence[Repeat]
    peak_bytes: int | None
    floor_images_per_second: float
    shares: dict[str, float]

    @property
    def images_per_second(self) -> float:
        return median(repeat.student for repeat in self.repeats)

    @property
    def alone_images_per_second(self) -> float:
        return median(repeat.alone for repeat in self.repeats)

    @property
    def reference_images_per_second(self) -> float | None:
        found = [repeat.reference for repeat in self.repeats if repeat.reference is not None]
        return median(found) if found else None

    @property
    def ratio(self) -> float | None:
        """The median of each repeat's own ratio to the usual loop: slow minutes hit both."""
        ratios = [repeat.student / repeat.reference for repeat in self.repeats if repeat.reference]
        return median(ratios) if ratios else None

    @property
    def fraction_of_student_alone(self) -> float:
        """The median of each repeat's own ratio."""
        return median(repeat.student / repeat.alone for repeat in self.repeats)

    @property
    def epoch_seconds(self) -> float:
        """Seconds of a student's epoch of 50,000 images; a cohort's time is divided among it."""
        return EPOCH_IMAGES / self.images_per_second

    @property
    def run_seconds(self) -> float:
        """Seconds of a student's whole training, evaluations apart."""
        return PROFILE.stream.epochs * self.epoch_seconds

    @property
    def times_above_floor(self) -> float:
        return self.floor_images_per_second / self.images_per_second

    def as_json(self) -> dict[str, Any]:
        case = self.case
        return {
            "pair": case.pair,
            "cohort": case.cohort,
            "precision": case.precision,
            "teacher": case.teacher,
            "student_images_per_second": self.images_per_second,
            "reference_images_per_second": self.reference_images_per_second,
            "ratio": self.ratio,
            "student_alone_images_per_second": self.alone_images_per_second,
            "fraction_of_student_alone": self.fraction_of_student_alone,
            "epoch_seconds": self.epoch_seconds,
            "run_seconds": self.run_seconds,
            "peak_memory_bytes": self.peak_bytes,
            "shares": self.shares,
            "floor_images_per_second": self.floor_images_per_second,
            "times_above_floor": self.times_above_floor,
            "repeats": [
                {
                    "student_images_per_second": repeat.student,
                    "reference_images_per_second": repeat.reference,
                    "student_alone_images_per_second": repeat.alone,
                }
                for repeat in self.repeats
            ],
        }
