"""What is measured: a pair, a cohort size, a precision and a source of teacher outputs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, cast, get_args

from repro.errors import UserError, choose
from repro.losses import CE, KD
from repro.models import MODELS
from repro.profiles import PROFILES
from repro.spec import Precision, Run

TeacherSource = Literal["live", "bank"]

PAIRS = ("resnet56:resnet20", "resnet32x4:resnet8x4")
COHORTS = ("1", "8")
TEACHERS = ("live",)
LARGEST_COHORT = 16
PROFILE = PROFILES["paper"]  # stream and optimiser of every case


@dataclass(frozen=True, kw_only=True)
class Case:
    """``cohort`` students of one network that learn from one teacher on the same batches.

    ``pair``: ``teacher:student``. ``teacher``: "live" runs the network on every batch, "bank" looks
    its outputs up.
    """

    pair: str
    cohort: int
    precision: Precision = "fp32"
    teacher: TeacherSource = "live"

    @property
    def networks(self) -> tuple[str, str]:
        """Teacher and student."""
        teacher, _, student = self.pair.partition(":")
        return teacher, student

    @property
    def label(self) -> str:
        return f"{self.cohort} x {self.precision} {self.teacher}"

    def teacher_run(self) -> Run:
        return _run(self.networks[0], self.precision)

    def runs(self) -> tuple[Run, ...]:
        """The students: KD as in the paper's profile; they differ by trial, so by weights."""
        teacher = self.teacher_run()
        return tuple(
            _run(self.networks[1], self.precision, teacher, trial) for trial in range(self.cohort)
        )


def _run(network: str, precision: Precision, teacher: Run | None = None, trial: int = 0) -> Run:
    return Run(
        network=network,
        loss=KD() if teacher else CE(),
        stream=PROFILE.stream,
        optim=PROFILE.optim(network),
        trial=trial,
        teacher=teacher,
        precision=precision,
        method="kd" if teacher else "teacher",
    )


def cases_of(
    pairs: Sequence[str],
    cohorts: Sequence[str],
    precisions: Sequence[str],
    teachers: Sequence[str],
) -> tuple[Case, ...]:
    """Every combination of the command line's words, by pair. Raises UserError on a wrong one."""
    combinations = product(
        map(_pair, pairs),
        map(_cohort, cohorts),
        [cast(Precision, _known("precision", word, get_args(Precision))) for word in precisions],
        [cast(TeacherSource, _known("teacher", t, get_args(TeacherSource))) for t in teachers],
    )
    cases = [Case(pair=p, cohort=n, precision=b, teacher=t) for p, n, b, t in combinations]
    return tuple(dict.fromkeys(cases))


def _known(kind: str, word: str, known: Sequence[str]) -> str:
    if word not in known:
        raise choose(kind, word, known)
    return word


def _pair(word: str) -> str:
    networks = word.split(":")
    if len(networks) != 2:
        raise UserError(f"pair {word!r} is not like teacher:student, such as {PAIRS[0]}")
    for network in networks:
        _known("model", network, tuple(MODELS))
    return word


def _cohort(word: str) -> int:
    if not word.isdecimal() or not 1 <= int(word) <= LARGEST_COHORT:
        raise UserError(f"a cohort is a whole number from 1 to {LARGEST_COHORT}, not {word!r}")
    return int(word)
