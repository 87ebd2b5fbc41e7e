"""What the claims are judged by: finished runs of one profile, by the grid that they belong to."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from repro.analysis.accuracy import METRICS
from repro.analysis.estimates import Pairs
from repro.errors import UserError
from repro.profiles import Profile
from repro.results import GridResults
from repro.spec import Run

ACCURACY = ("demo", "cifar-same", "cifar-different")  # the grids of most claims
Measure = Callable[[GridResults, Sequence[Run]], pd.DataFrame]  # one of repro.analysis.measured


@dataclass(frozen=True)
class Evidence:
    """Grids with finished runs, all under one profile; a union of grids stands for its parts."""

    grids: Sequence[GridResults]

    def __post_init__(self) -> None:
        profiles = {results.profile.name for results in self.grids}
        if len(profiles) != 1:
            raise UserError(f"claims need grids of one profile, not {sorted(profiles)}")

    @property
    def profile(self) -> Profile:
        return self.grids[0].profile

    @property
    def marks(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(mark for results in self.grids for mark in results.marks))

    def pairs(self, parts: Collection[str]) -> list[str]:
        """The pairs of some grids that have finished students."""
        found = [
            pair
            for results in self.grids
            for part, pairs in results.parts.items()
            if part in parts
            for pair in pairs
            if pair in results.pairs
        ]
        return list(dict.fromkeys(found))

    def methods(self, parts: Collection[str]) -> set[str]:
        """The methods of some grids, whether they were run or not."""
        return {
            method
            for results in self.grids
            for part in results.parts
            if part in parts
            for method in results.methods(part)
        }

    @cached_property
    def table(self) -> pd.DataFrame:
        tables = pd.concat([results.table for results in self.grids])
        return tables.drop_duplicates(["key", "pair", "method"])

    def top1(self, parts: Collection[str], metric: str) -> Pairs:
        """By pair: percent of test images, a row a trial, a column a method."""
        assert metric in METRICS
        return by_pair(self.table, metric, self.pairs(parts))

    def teacher_top1(self, metric: str) -> dict[str, float]:
        """Of trial 0, which the students learned from, by network."""
        rows = self.table[(self.table["method"] == "teacher") & (self.table["trial"] == 0)]
        return {row["student"]: row[metric] for row in rows.to_dict("records")}

    def measured(
        self, measure: Measure, pairs: Collection[str], methods: Collection[str]
    ) -> pd.DataFrame:
        """A measurement of the finished students of these pairs and methods, each once."""
        frames = []
        for results in self.grids:
            runs = [r for r in results.runs if r.pair in pairs and r.method in methods]
            frames += [measure(results, runs)] if runs else []
        return pd.concat(frames).drop_duplicates() if frames else pd.DataFrame()

    @cached_property
    def failed(self) -> tuple[str, ...]:
        """Runs that diverged: their trial counts for no method of the pair, and is told."""
        return tuple(dict.fromkeys(name for results in self.grids for name in results.failed))


def by_pair(frame: pd.DataFrame, column: str, pairs: Sequence[str]) -> Pairs:
    """A column by pair, a row a trial and a column a method; teachers are left out."""
    if frame.empty:
        return {}
    students = dict(iter(frame[frame["method"] != "teacher"].groupby("pair", sort=False)))
    return {
        pair: students[pair].groupby(["trial", "method"])[column].mean().unstack()
        for pair in pairs
        if pair in students
    }


def log_of(pairs: Pairs) -> Pairs:
    return {pair: np.log(trials) for pair, trials in pairs.items()}
