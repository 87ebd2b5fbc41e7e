"""Evidence that is made up: trials around given means, and measurements of nothing."""

from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from repro.analysis import claims
from repro.analysis.estimates import Pairs
from repro.analysis.judged import Judged
from repro.profiles import PROFILES, Profile

STUDENTS = ("a:s1", "a:s2", "b:s3", "b:s4", "c:s5", "c:s6")
TRIALS = 5


def noise(seed: int, size: int = TRIALS, sd: float = 0.05) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, sd, size)


def made(means: dict[str, float], seed: int, trials: int = TRIALS) -> pd.DataFrame:
    """Trials of one pair around the methods' means."""
    columns = {m: mean + noise(seed + i, trials) for i, (m, mean) in enumerate(means.items())}
    return pd.DataFrame(columns)


@dataclass
class Made:
    """As ``Evidence``: accuracy by pair, measurements by function."""

    trials: Pairs = field(default_factory=dict)
    teachers: dict[str, float] = field(default_factory=dict)
    frames: dict[object, pd.DataFrame] = field(default_factory=dict)
    failed: tuple[str, ...] = ()
    plan: tuple[str, ...] = ()
    profile: Profile = PROFILES["paper"]

    def pairs(self, parts: Collection[str]) -> list[str]:  # noqa: ARG002
        return list(self.trials)

    def planned(self, grid: str) -> list[str]:  # noqa: ARG002
        return list(self.plan or self.trials)

    def methods(self, parts: Collection[str]) -> set[str]:  # noqa: ARG002
        return {"kd", "dkd", "dist", "fitnet", *(m for t in self.trials.values() for m in t)}

    def top1(self, parts: Collection[str], metric: str, methods: Collection[str]) -> Pairs:  # noqa: ARG002
        return self.trials

    def diverged(self, parts: Collection[str], methods: Collection[str]) -> list[str]:  # noqa: ARG002
        return [words for words in self.failed if words.split()[1] in methods]

    @property
    def teacher_top1(self) -> dict[str, float]:
        return self.teachers

    def measured(self, measure: object, *_: object) -> pd.DataFrame:
        return self.frames.get(measure, pd.DataFrame())


def judge(number: int, evidence: Made) -> Judged:
    """Claim C<number>."""
    return claims.under_other_metrics(claims.CLAIMS[number - 1], evidence)  # type: ignore[arg-type]


def whole(number: int, evidence: Made) -> Judged:
    claim = claims.CLAIMS[number - 1]
    return claims.with_diverged(judge(number, evidence), claim, evidence)  # type: ignore[arg-type]


def on_all(means: dict[str, float]) -> Made:
    return Made({pair: made(means, 100 * i) for i, pair in enumerate(STUDENTS)})
