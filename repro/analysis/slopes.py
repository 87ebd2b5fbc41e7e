"""F6, claim C1: how the gain of one method over another grows with the teacher's top-1.

``pairs``: trials by "teacher:student" as in ``estimates``; ``teacher_top1``: percent by teacher.
Slopes are points of the student's top-1 per point of the teacher's.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from repro.analysis import rules
from repro.analysis.estimates import (
    MIN_TRIALS,
    MIN_UNITS,
    Arms,
    Counts,
    Estimate,
    Pairs,
)
from repro.analysis.rules import Array

Scope = Literal["these teachers", "in general"]


class Teachers(NamedTuple):
    """By teacher: top-1, mean, variance of a trial, trials, all [K]; and what was counted."""

    top1: Array
    means: Array
    variances: Array
    trials: Array
    counts: Counts


def slope(pairs: Pairs, arms: Arms, *, teacher_top1: Mapping[str, float], scope: Scope) -> Estimate:
    """The slope of the arms' difference.

    Several students are averaged per teacher first: they share its deviation. In general: over
    teachers, K - 2 df, needs 5. These teachers: under the noise of trials alone (2 teachers).
    """
    return _estimate(_teachers(pairs, arms, teacher_top1), scope)


def method_slope(
    pairs: Pairs, method: str, *, teacher_top1: Mapping[str, float], scope: Scope
) -> Estimate:
    """The slope of one method's own top-1; without a verdict of its own."""
    return _estimate(_teachers(pairs, (method,), teacher_top1), scope)


def ends(pairs: Pairs, arms: Arms, *, teacher_top1: Mapping[str, float]) -> Estimate:
    """The difference (points) under the best teacher minus under the weakest, of these teachers."""
    found = _teachers(pairs, arms, teacher_top1)
    weights = np.zeros(len(found.top1))
    if len(weights) > 1:
        weights[found.top1.argmax()], weights[found.top1.argmin()] = 1.0, -1.0
    return _contrast(found, weights)


def _estimate(found: Teachers, scope: Scope) -> Estimate:
    centred = found.top1 - found.top1.mean() if len(found.top1) else found.top1
    squares = float((centred**2).sum())
    weights = centred / squares if squares else centred
    these = _contrast(found, weights)
    if scope == "these teachers":
        return these
    if len(found.top1) < MIN_UNITS or not squares:
        return replace(these, scope=scope, standard_error=math.nan, df=math.nan)
    return replace(these, scope=scope).filled(
        rules.slope(found.top1, found.means), variance=these.variance
    )


def _contrast(found: Teachers, weights: Array) -> Estimate:
    estimate = Estimate(formula="F6", scope="these teachers", counts=found.counts)
    if not weights.any():  # fewer than two teachers, or all alike
        return estimate
    statistic = rules.contrast(weights, found.means, found.variances, found.trials)
    return estimate.filled(statistic, variance=found.variances.mean())


def _teachers(
    pairs: Pairs, columns: tuple[str, ...], teacher_top1: Mapping[str, float]
) -> Teachers:
    """Pairs with fewer than 3 complete trials, or a teacher without a top-1, have not run."""
    run = {
        pair: found
        for pair, trials in pairs.items()
        if len(found := _by_trial(trials, columns)) >= MIN_TRIALS
        and not math.isnan(teacher_top1.get(pair.partition(":")[0], math.nan))
    }
    teachers = _average_students(run)
    trials = np.array([len(values) for values in teachers.values()], dtype=float)
    return Teachers(
        np.array([teacher_top1[teacher] for teacher in teachers], dtype=float),
        np.array([values.mean() for values in teachers.values()], dtype=float),
        np.array([values.var(ddof=1) for values in teachers.values()], dtype=float),
        trials,
        Counts(
            pairs=len(run),
            students=len({pair.rpartition(":")[2] for pair in run}),
            trials=int(min(trials, default=0)),
            runs=len(columns) * sum(len(found) for found in run.values()),
            missing=tuple(pair for pair in pairs if pair not in run),
        ),
    )


def _by_trial(trials: pd.DataFrame, columns: tuple[str, ...]) -> pd.Series:
    """The difference of two columns, or the one column, of the trials that have it."""
    if not set(columns) <= set(trials.columns):
        return pd.Series(dtype=float)
    first, *second = (trials[column] for column in columns)
    return (first - second[0] if second else first).dropna()


def _average_students(pairs: Mapping[str, pd.Series]) -> dict[str, pd.Series]:
    """By teacher: the mean over its students, of the trials that all of them have."""
    students: dict[str, list[pd.Series]] = {}
    for pair, values in pairs.items():
        students.setdefault(pair.partition(":")[0], []).append(values)
    averaged = {
        teacher: pd.concat(found, axis=1, join="inner").mean(axis=1)
        for teacher, found in students.items()
    }
    return {teacher: values for teacher, values in averaged.items() if len(values) >= MIN_TRIALS}
