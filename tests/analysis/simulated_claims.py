"""Error and power of slopes, planes, families and verdicts, beside what they should be."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from numpy.random import Generator

from repro.analysis import rules
from repro.analysis.estimates import Counts, Estimate
from repro.analysis.families import LEVEL, all_positive, holm
from repro.analysis.plane_estimates import planes as planes_of_these
from repro.analysis.plane_estimates import planes_in_general
from repro.analysis.rules import Statistic
from repro.analysis.verdict import verdicts
from tests.analysis.simulation import (
    Array,
    Rate,
    differences,
    sd_of_difference,
    shifted,
    significant,
    tables,
)

# K: power of F6 in general at 0.1 and 0.2 points per point, by the sd of teachers' deviations.
SLOPE = {
    4: {0.0: (0.57, 0.96), 0.2: (0.25, 0.63), 0.4: (0.12, 0.30)},
    5: {0.0: (0.80, 1.0), 0.2: (0.37, 0.86), 0.4: (0.15, 0.44)},
    7: {0.0: (0.96, 1.0), 0.2: (0.56, 0.98), 0.4: (0.23, 0.66)},
}
THESE_TEACHERS = {0.0: 0.05, 0.2: 0.26, 0.4: 0.52}  # its error as a statement in general


def slopes(rng: Generator, grids: int) -> Iterator[Rate]:
    """Table F: teachers evenly over 72.3-79.4, T=5; four students averaged per teacher first."""
    for count, powers in SLOPE.items():
        x = np.linspace(72.3, 79.4, count)
        weights = (x - x.mean()) / ((x - x.mean()) ** 2).sum()
        for sd, power in powers.items():
            effects = sd * rng.standard_normal((grids, count, 1))
            d = effects + sd_of_difference(0.3) * rng.standard_normal((grids, count, 5))
            means, variances = d.mean(-1), d.var(-1, ddof=1)
            these = rules.contrast(weights, means, variances, np.full(count, 5))
            found = [("these teachers", 0.0, THESE_TEACHERS[sd], significant(these).mean())]
            for slope, expected in zip((0, 0.1, 0.2), (0.05, *power), strict=True):
                general = significant(rules.slope(x, means + slope * x)).mean()
                found.append(("in general", slope, expected, general))
            for scope, slope, expected, measured in found:
                what = f"F6 {scope}, K={count}, sd {sd}, slope {slope}"
                spread = 0.02 if scope == "these teachers" and sd else 0.005  # K = 4, 5, 7 alike
                yield Rate(
                    place="F",
                    what=what,
                    expected=expected,
                    measured=measured,
                    grids=grids,
                    half=spread,
                )
    x = np.linspace(72.3, 79.4, 5)
    for sd in (0.2, 0.4):
        own, common = rng.standard_normal((grids, 4, 5)), rng.standard_normal((grids, 1, 5))
        error = sd_of_difference(0.3) / np.sqrt(5) * rng.standard_normal((grids, 4, 5))
        means = (sd * np.sqrt(0.5) * (own + common) + error).mean(1)
        measured = significant(rules.slope(x, means)).mean()
        what = f"F6 in general, mean of 4 students, K=5, sd {sd}, slope 0"
        yield Rate(place="F", what=what, expected=0.05, measured=measured, grids=grids)


# T: error at a trial sd of 0, 0.05, 0.1, 0.2, then power at 0.1 with a trial sd of 0.1.
PLANES = {
    3: (0.060, 0.065, 0.075, 0.071, 0.21),
    5: (0.048, 0.048, 0.053, 0.056, 0.36),
    10: (0.0495, 0.0495, 0.0495, 0.0495, 0.64),
}
CHUNK = 250  # grids at once: 10 trials of 500 planes take 10 MB a temporary array


def plane_tables(rng: Generator, shape: tuple[int, int, int], *, trial_sd: float) -> Array:
    """[grids, T, J]: sd 1 of a value, 0.5 of a plane."""
    grids, trials, count = shape
    planes = 0.5 * rng.standard_normal((grids, 1, count))
    of_trial = trial_sd * rng.standard_normal((grids, trials, 1))
    return planes + of_trial + rng.standard_normal(shape)


def planes(rng: Generator, grids: int) -> Iterator[Rate]:
    """Table G: F7 with 500 planes."""
    for trials, expected in PLANES.items():
        for sd, effect, chance in zip(
            (0, 0.05, 0.1, 0.2, 0.1), (0, 0, 0, 0, 0.1), expected, strict=True
        ):
            found = []
            for first in range(0, grids, CHUNK):
                shape = (min(CHUNK, grids - first), trials, 500)
                table = plane_tables(rng, shape, trial_sd=sd)
                found.append(significant(rules.planes(table + effect)))
            what = f"F7 T={trials} J=500, trial sd {sd}, effect {effect}"
            half = 0.004 if trials == 10 and not effect else 0.005 if effect else 0.0005
            yield Rate(
                place="G",
                what=what,
                expected=chance,
                measured=np.concatenate(found).mean(),
                grids=grids,
                runs=1_500,
                half=half,
            )


def planes_of_pairs(rng: Generator, grids: int) -> Iterator[Rate]:
    """F7 on 8 pairs and over them, T=5: with as few as 50 planes the latter errs on the safe side.

    Their common variance is taken as known no better than that of 8 students.
    """
    grids = min(grids, 2_000)  # through data frames: 7 ms a grid
    general, these = [], []
    for _ in range(grids):
        common = 0.5 * rng.standard_normal(50)
        pair = 0.1 * rng.standard_normal((8, 1, 1))
        trial = 0.1 * rng.standard_normal((8, 5, 1))
        tables = common + trial + rng.standard_normal((8, 5, 50))
        general.append(planes_in_general(_frames(tables + pair)).p <= LEVEL)
        these.append(planes_of_these(_frames(tables)).p <= LEVEL)
    for what, low, high, found in (
        ("over 8 pairs in general", 0.015, 0.05, general),
        ("on these 8 pairs", 0.045, 0.055, these),
    ):
        yield Rate(
            place="own",
            what=f"F7 {what}, effect 0",
            expected=(low + high) / 2,
            measured=np.mean(found),
            grids=grids,
            half=(high - low) / 2,
        )


def _frames(tables: Array) -> dict[str, pd.DataFrame]:
    return {f"t:s{i}": pd.DataFrame(table) for i, table in enumerate(tables)}


def compared(rng: Generator, grids: int, *, tau: float) -> Array:
    """Differences of one method from eight others on 12 pairs, T=5: [grids, 8, 12]."""
    sd = np.sqrt((tau**2 + sd_of_difference(0.3) ** 2 / 5) / 2)
    y = sd * rng.standard_normal((grids, 9, 12))
    return y[:, :1] - y[:, 1:]


def families(rng: Generator, grids: int) -> Iterator[Rate]:
    """Table D: Holm over eight comparators that share an arm, and the conjunction of the eight."""
    powers = {0.2: (0.98, 0.93, 0.88), 0.4: (0.62, 0.33, 0.17), 0.7: (0.26, 0.08, 0.02)}
    half_true = np.r_[np.zeros(4), np.full(4, 0.5)][:, None]
    one_equal = np.r_[0, np.full(7, 1.5)][:, None]
    for tau, power in powers.items():
        d = compared(rng, grids, tau=tau)
        null, better = rules.in_general(d), rules.in_general(d + 0.3)
        found = (
            ("any false, unadjusted", 0.2685, 0.013, (null.p() <= LEVEL).any(-1)),
            ("any false, Holm", 0.0445, 0.003, (holm(null.p()) <= LEVEL).any(-1)),
            ("any false, Holm, four true", 0.036, 0.0105, _holm(d + half_true)[:, :4].any(-1)),
            ("power at 0.3, unadjusted", power[0], 0.005, better.p() <= LEVEL),
            ("power at 0.3, Holm", power[1], 0.005, holm(better.p()) <= LEVEL),
            ("conjunction, all at 0.3", power[2], 0.005, _all(better)),
            ("conjunction, one equal", 0.0245, 0.002, _all(rules.in_general(d + one_equal))),
        )
        for what, expected, half, rejected in found:
            yield Rate(
                place="D",
                what=f"{what}, tau {tau}",
                expected=expected,
                measured=rejected.mean(),
                grids=grids,
                half=half,
            )


def _holm(d: Array) -> Array:
    return holm(rules.in_general(d).p()) <= LEVEL


def _all(found: Statistic) -> Array:
    rows = zip(found.estimate, found.standard_error, strict=True)
    return np.array(
        [
            all_positive([estimate(m, e, found.df) for m, e in zip(*row, strict=True)])
            for row in rows
        ]
    )


def estimate(mean: float, error: float, df: float) -> Estimate:
    counts = Counts(pairs=12, students=12, trials=5, runs=120)
    return Estimate(
        formula="F3",
        scope="in general",
        counts=counts,
        estimate=mean,
        standard_error=error,
        df=float(df),
    )


# What is true: supported, refuted.
CELL_VERDICTS = {
    3: {0: (0.02, 0.31), 0.3: (0.31, 0.02), 0.5: (0.70, 0.0), 1: (1.0, 0.0)},
    5: {0: (0.02, 0.51), 0.3: (0.52, 0.02), 0.5: (0.92, 0.0), 1: (1.0, 0.0)},
    10: {0: (0.02, 0.85), 0.3: (0.84, 0.02), 1: (1.0, 0.0)},
}
FIRST_OF_EIGHT = {0: (0.0, 0.21), 0.3: (0.21, 0.0), 0.5: (0.69, 0.0)}
POOLED_VERDICTS = {
    0.2: {0: (0.02, 0.74), 0.2: (0.74, 0.03), 0.5: (1.0, 0.0)},
    0.4: {0: (0.03, 0.32), 0.2: (0.33, 0.02), 0.5: (0.96, 0.0)},
    0.7: {0: (0.03, 0.15), 0.2: (0.14, 0.03), 0.5: (0.60, 0.0)},
}
UNDECIDED = {str(i): estimate(0.1, 10.0, 11) for i in range(7)}  # the rest of a family of eight


def decided(found: Statistic, effect: float, *, others: dict[str, Estimate]) -> tuple[float, float]:
    """Shares of supported and refuted."""
    labels = [
        verdicts({"one": estimate(m, e, found.df), **others}, effect=effect)["one"].label
        for m, e in zip(found.estimate, found.standard_error, strict=True)
    ]
    return labels.count("supported") / len(labels), labels.count("refuted") / len(labels)


def rates_of_verdicts(rng: Generator, grids: int) -> Iterator[Rate]:
    """Verdicts of a cell (D 0.3), alone and in the first Holm step of eight; over pairs (D 0.2)."""
    cases = []
    for trials, outcomes in CELL_VERDICTS.items():
        table = tables(rng, (grids, trials, 9))
        for true, expected in outcomes.items():
            found = rules.cell(shifted(table, true))
            cases.append((f"cell T={trials} true {true}", expected, decided(found, 0.3, others={})))
    table = tables(rng, (grids, 5, 9))
    for true, expected in FIRST_OF_EIGHT.items():
        shares = decided(rules.cell(shifted(table, true)), 0.3, others=UNDECIDED)
        cases.append((f"cell T=5 true {true}, first of eight", expected, shares))
    for tau, outcomes in POOLED_VERDICTS.items():
        means, _ = differences(rng, (grids, 12, 5), tau=tau)
        for true, expected in outcomes.items():
            shares = decided(rules.in_general(means + true), 0.2, others={})
            cases.append((f"12 pairs T=5 tau {tau} true {true}", expected, shares))
    for what, expected, shares in cases:
        for word, chance, share in zip(("supported", "refuted"), expected, shares, strict=True):
            yield Rate(
                place="S5",
                what=f"{what}: {word}",
                expected=chance,
                measured=share,
                grids=grids,
                runs=10_000,
            )
