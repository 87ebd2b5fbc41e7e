"""What the claims are judged by: finished runs of one profile, by the grid that they belong to."""

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from repro.analysis.accuracy import METRICS, TAUGHT
from repro.analysis.estimates import Pairs
from repro.errors import NotRecorded, UserError
from repro.failures import Failure, failures
from repro.profiles import Profile
from repro.results import GridResults
from repro.spec import Run, key

ACCURACY = ("demo", "cifar-same", "cifar-different", "imagenet")  # the grids of most claims
Measure = Callable[[GridResults, Sequence[Run]], pd.DataFrame]  # one of repro.analysis.measured


@dataclass(frozen=True)
class Evidence:
    """Grids with finished runs, all under one profile; a union of grids stands for its parts.

    Grids on held-out images, which chose hyper-parameters, are left out beside others.
    """

    grids: Sequence[GridResults]
    leaves_out_diverged: bool = False

    def __post_init__(self) -> None:
        grids = tuple(results for results in self.grids if not results.held_out)
        object.__setattr__(self, "grids", grids or self.grids)
        profiles = {results.profile.name for results in self.grids}
        if len(profiles) != 1:
            raise UserError(f"claims need grids of one profile, not {sorted(profiles)}")
        datasets = {results.profile.stream.dataset for results in self.grids}
        if len(datasets) != 1:
            raise UserError(f"claims need grids of one dataset, not {sorted(datasets)}")

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

    def planned(self, grid: str) -> list[str]:
        """The pairs of a grid by the profile, run or not."""
        return self.grids[0].planned(grid)

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

    def top1(self, parts: Collection[str], metric: str, methods: Collection[str]) -> Pairs:
        """By pair: percent of test images, a row a trial, a column a method.

        Runs of ``methods`` that diverged are there with the accuracy of chance: their networks
        answer nothing. Those of other methods are not: they would only add to the noise.
        """
        assert metric in METRICS
        pairs = by_pair(self.table, metric, self.pairs(parts))
        if self.leaves_out_diverged:
            return pairs
        chance = 100 / len(self.grids[0].class_names)
        return with_value(pairs, self._diverged(parts, methods), chance)

    def diverged(self, parts: Collection[str], methods: Collection[str]) -> list[str]:
        """The runs of these grids' pairs that diverged, in words."""
        return [found.words for found in self._diverged(parts, methods)]

    def _diverged(self, parts: Collection[str], methods: Collection[str]) -> list[Failure]:
        pairs = self.pairs(parts) if self.failures else []
        return [
            found
            for found in self.failures
            if found.diverged and found.run.pair in pairs and found.run.method in methods
        ]

    @property
    def without_diverged(self) -> "Evidence":
        return replace(self, leaves_out_diverged=True)

    @property
    def teacher_top1(self) -> dict[str, float]:
        """Of trial 0, which the students learned from, by network: of the weights that taught."""
        rows = self.table[(self.table["method"] == "teacher") & (self.table["trial"] == 0)]
        return {row["student"]: row[TAUGHT] for row in rows.to_dict("records")}

    def measured(
        self, measure: Measure, pairs: Collection[str], methods: Collection[str]
    ) -> pd.DataFrame:
        """A measurement of the finished students of these pairs and methods, each once.

        Those of which only the accuracy was recorded are left out.
        """
        frames = []
        for results in self.grids:
            runs = [r for r in results.runs if r.pair in pairs and r.method in methods]
            try:
                frames += [measure(results, runs)] if runs else []
            except NotRecorded:
                for run in runs:
                    with suppress(NotRecorded):
                        frames.append(measure(results, [run]))
        return pd.concat(frames).drop_duplicates() if frames else pd.DataFrame()

    @cached_property
    def failures(self) -> list[Failure]:
        """As every pair names them."""
        found = [one for results in self.grids for one in failures(results)]
        return list(dict.fromkeys(found))

    @property
    def failed(self) -> tuple[str, ...]:
        """What to tell of the runs that failed: a line of those that diverged, one of others."""
        failed = {key(found.run): found for found in self.failures}  # each once
        diverged = [found.words for found in failed.values() if found.diverged]
        others = [f"{one.words} ({one.reason})" for one in failed.values() if not one.diverged]
        lines = (
            (diverged, "diverged; their top-1 counts as chance, and nothing else is measured"),
            (others, "failed otherwise; their trials count for no method"),
        )
        return tuple(
            f"{len(said)} {'run' if len(said) == 1 else 'runs'} {words}: {', '.join(said)}"
            for said, words in lines
            if said
        )


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


def with_value(pairs: Pairs, failed: Iterable[Failure], value: float) -> Pairs:
    """With a value in the place of runs that have none."""
    found = dict(pairs)
    for run in (one.run for one in failed):
        if run.pair in found:
            found[run.pair] = found[run.pair].copy()
            found[run.pair].loc[run.trial, run.method] = value
            found[run.pair] = found[run.pair].sort_index()
    return found


def log_of(pairs: Pairs) -> Pairs:
    return {pair: np.log(trials) for pair, trials in pairs.items()}
