"""Error and power of F1-F3, F5, F6 and F7, a section each, beside what they should be."""

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from repro.analysis import rules
from repro.analysis.families import LEVEL
from repro.analysis.statistics import published_difference, table_difference
from tests.analysis.simulation import (
    STUDENTS_OF_PAIRS,
    TRIAL_SD,
    Array,
    Rate,
    differences,
    sd_of_difference,
    shifted,
    significant,
    tables,
)

EFFECTS = (0.1, 0.2, 0.3, 0.5, 1.0)

# T: error, then power at 0.2, 0.3, 0.5, 1.0; rho 0.3, nine methods, and two (the paired t).
CELL = {
    3: (0.040, 0.16, 0.31, 0.69, 1.0),
    5: (0.039, 0.25, 0.52, 0.92, 1.0),
    10: (0.039, 0.50, 0.85, 1.0, 1.0),
}
PAIRED = {
    3: (0.050, 0.11, 0.19, 0.38, 0.82),
    5: (0.050, 0.22, 0.41, 0.81, 1.0),
    10: (0.055, 0.49, 0.82, 1.0, 1.0),
}
# (T, rho): power at 0.3 of F1 and of the paired t.
CORRELATED = {
    (3, 0.0): (0.23, 0.14),
    (5, 0.0): (0.38, 0.31),
    (10, 0.0): (0.70, 0.67),
    (3, 0.6): (0.50, 0.26),
    (5, 0.6): (0.76, 0.62),
    (10, 0.6): (0.98, 0.96),
}
# (T, rho): the first multiple of 0.01 points found with 80 % power (0.80-0.84, then), alone and in
# the first Holm step of eight.
DETECTABLE = {
    (3, 0.0): (0.69, 0.95),
    (5, 0.0): (0.50, 0.67),
    (10, 0.0): (0.34, 0.44),
    (3, 0.3): (0.57, 0.79),
    (5, 0.3): (0.42, 0.56),
    (10, 0.3): (0.29, 0.37),
    (3, 0.6): (0.44, 0.60),
    (5, 0.6): (0.32, 0.42),
    (10, 0.6): (0.22, 0.28),
}


def cells(rng: Generator, grids: int) -> Iterator[Rate]:
    """Table A: one pair, rho 0.3 and others, unequal and other noise."""

    def rate(what: str, expected: float, table: Array, **more: float) -> Rate:
        level = more.pop("level", LEVEL)
        found = significant(rules.cell(table), level).mean()
        return Rate(
            place="A", what=what, expected=expected, measured=found, grids=len(table), **more
        )  # type: ignore[arg-type]

    for trials, expected in CELL.items():
        table = tables(rng, (grids, trials, 9))
        for i, effect in enumerate((0, 0.2, 0.3, 0.5, 1.0)):
            half = 0.005 if effect else 0.0005
            moved, two = shifted(table, effect), PAIRED[trials][i]
            yield rate(f"F1 M=9 T={trials} effect {effect}", expected[i], moved, half=half)
            yield rate(f"F1 M=2 T={trials} effect {effect}", two, moved[..., :2], half=half)
    for (trials, rho), (nine, two) in CORRELATED.items():
        table = shifted(tables(rng, (grids, trials, 9), rho=rho), 0.3)
        yield rate(f"F1 M=9 T={trials} rho {rho} effect 0.3", nine, table)
        yield rate(f"F1 M=2 T={trials} rho {rho} effect 0.3", two, table[..., :2])
    for (trials, rho), found in DETECTABLE.items():
        table = tables(rng, (grids, trials, 9), rho=rho)
        for effect, level in zip(found, (LEVEL, LEVEL / 8), strict=True):
            what = f"F1 M=9 T={trials} rho {rho} level {level:.4f} detects {effect}"
            yield rate(what, 0.82, shifted(table, effect), level=level, half=0.025)
    for trials in (3, 5, 10):
        for kind in ("t3", "skewed"):
            table = tables(rng, (grids, trials, 9), kind=kind)
            yield rate(f"F1 M=9 T={trials} {kind} noise", 0.027, table, half=0.0025)


def unequal_cells(rng: Generator, grids: int) -> Iterator[Rate]:
    """Table A: methods whose sds differ, overall and in the noisiest fifth."""
    for spread, low, high, noisy_low, noisy_high in (
        (0.3, 0.037, 0.039, 0.061, 0.068),
        (0.45, 0.034, 0.041, 0.065, 0.086),
    ):
        for trials in (3, 5, 10):
            sds = np.exp(spread * rng.standard_normal((grids, 1, 9)))
            table = tables(rng, (grids, trials, 9), rho=0)
            table = np.sqrt(0.7) * sds * table + np.sqrt(0.3) * tables(
                rng, (grids, trials, 1), rho=1
            )
            wrong = significant(rules.cell(table))
            own = (sds[:, 0, :2] ** 2).sum(-1)
            noisy = wrong[own >= np.quantile(own, 0.8)]
            for name, found, ends in (
                ("all", wrong, (low, high)),
                ("noisiest fifth", noisy, (noisy_low, noisy_high)),
            ):
                yield Rate(
                    place="A",
                    what=f"F1 M=9 T={trials} log-sd {spread}, {name}",
                    expected=sum(ends) / 2,
                    measured=found.mean(),
                    grids=found.size,
                    runs=40_000 if name == "all" else 8_000,
                    half=(ends[1] - ends[0]) / 2 + 0.0005,
                )


# (P, T, tau): error as a statement on new pairs, F3 (each pair its own student) and F2.
GENERAL = {
    (2, 3, 0.0): (0.049, 0.049),
    (2, 3, 0.4): (0.051, 0.33),
    (6, 3, 0.0): (0.048, 0.049),
    (6, 3, 0.2): (0.051, 0.18),
    (6, 3, 0.4): (0.050, 0.41),
    (12, 3, 0.0): (0.048, 0.050),
    (12, 3, 0.2): (0.051, 0.20),
    (12, 3, 0.4): (0.051, 0.43),
    (12, 5, 0.0): (0.051, 0.052),
    (12, 5, 0.4): (0.049, 0.53),
    (12, 5, 0.7): (0.052, 0.71),
}
# tau: power of F3 at EFFECTS, T=5, by P; None is F2 at tau 0.
POWER: dict[tuple[int, float | None], tuple[float, ...]] = {
    (12, 0.0): (0.67, 1.0, 1.0, 1.0, 1.0),
    (12, 0.2): (0.26, 0.75, 0.98, 1.0, 1.0),
    (12, 0.4): (0.11, 0.32, 0.61, 0.96, 1.0),
    (12, 0.7): (0.08, 0.15, 0.26, 0.60, 0.99),
    (6, 0.0): (0.33, 0.83, 0.99, 1.0, 1.0),
    (6, 0.2): (0.13, 0.38, 0.69, 0.98, 1.0),
    (6, 0.4): (0.07, 0.16, 0.29, 0.64, 1.0),
    (6, 0.7): (0.06, 0.09, 0.14, 0.29, 0.78),
    (2, 0.0): (0.07, 0.14, 0.20, 0.33, 0.59),
    (2, 0.2): (0.06, 0.08, 0.11, 0.18, 0.36),
    (2, 0.4): (0.05, 0.06, 0.07, 0.11, 0.20),
    (2, 0.7): (0.05, 0.05, 0.06, 0.08, 0.13),
    (12, None): (0.73, 1.0, 1.0, 1.0, 1.0),
    (6, None): (0.43, 0.95, 1.0, 1.0, 1.0),
    (2, None): (0.16, 0.47, 0.80, 1.0, 1.0),
}
SHARED = {0.5: (0.073, 0.077), 0.8: (0.084, 0.098)}  # student's share of tau^2: error by pair


def pooled(rng: Generator, grids: int) -> Iterator[Rate]:
    """Tables B and C: F2 and F3 over pairs with students of their own."""
    for (pairs, trials, tau), (general, these) in GENERAL.items():
        means, variances = differences(rng, (grids, pairs, trials), tau=tau)
        wrong = significant(rules.in_general(means)).mean()
        what = f"P={pairs} T={trials} tau {tau} effect 0"
        yield Rate(place="B", what=f"F3 {what}", expected=general, measured=wrong, grids=grids)
        wrong = significant(rules.these_pairs(means, variances, trials)).mean()
        yield Rate(place="B", what=f"F2 {what}", expected=these, measured=wrong, grids=grids)
    for (pairs, tau), expected in POWER.items():
        means, variances = differences(rng, (grids, pairs, 5), tau=tau or 0)
        for effect, power in zip(EFFECTS, expected, strict=True):
            moved = means + effect
            narrow = tau is None
            found = rules.these_pairs(moved, variances, 5) if narrow else rules.in_general(moved)
            what = f"{'F2' if narrow else 'F3'} P={pairs} T=5 tau {tau or 0.0} effect {effect}"
            measured = significant(found).mean()
            yield Rate(
                place="C", what=what, expected=power, measured=measured, grids=grids, runs=10_000
            )
    for pairs, trials, power in ((12, 3, 0.59), (12, 10, 0.64), (6, 3, 0.28), (6, 10, 0.31)):
        means, _ = differences(rng, (grids, pairs, trials), tau=0.4)
        measured = significant(rules.in_general(means + 0.3)).mean()
        what = f"F3 P={pairs} T={trials} tau 0.4 effect 0.3"
        yield Rate(
            place="C", what=what, expected=power, measured=measured, grids=grids, runs=10_000
        )


def shared_students(rng: Generator, grids: int) -> Iterator[Rate]:
    """Table B: 12 pairs of 9 students, T=5. F3 averages by student; by pair its error is larger."""
    students = list(dict.fromkeys(STUDENTS_OF_PAIRS))
    place = [students.index(student) for student in STUDENTS_OF_PAIRS]
    for share, (low, high) in SHARED.items():
        for tau in (0.2, 0.4, 0.7):
            own = rng.standard_normal((grids, 12))
            common = rng.standard_normal((grids, 9))[:, place]
            effects = tau * (np.sqrt(share) * common + np.sqrt(1 - share) * own)
            means = effects + sd_of_difference(0.3) / np.sqrt(5) * rng.standard_normal((grids, 12))
            what = f"12 pairs, 9 students, tau {tau}, student's share {share}"
            by_student = rules.in_general(rules.average_by(means, STUDENTS_OF_PAIRS))
            for name, found, ends in (
                ("F3", by_student, (0.049, 0.052)),
                ("by pair", rules.in_general(means), (low, high)),
            ):
                yield Rate(
                    place="B",
                    what=f"{name}: {what}",
                    expected=sum(ends) / 2,
                    measured=significant(found).mean(),
                    grids=grids,
                    half=(ends[1] - ends[0]) / 2 + 0.0005,
                )


# (T, n_pub): chance of "reproduced" at a true difference of 0, 0.3, M; by margin M.
REPRODUCED = {
    (3, 3): {0.5: (0.57, 0.24, 0.05), 0.7: (0.93, 0.62, 0.05), 1.0: (1.0, 0.96, 0.05)},
    (5, 1): {0.5: (0.15, 0.08, 0.03), 0.7: (0.64, 0.40, 0.05), 1.0: (0.96, 0.82, 0.05)},
    (5, 3): {0.5: (0.72, 0.29, 0.05), 0.7: (0.97, 0.71, 0.05), 1.0: (1.0, 0.99, 0.05)},
    (5, 5): {0.5: (0.87, 0.36, 0.05), 0.7: (0.99, 0.81, 0.05), 1.0: (1.0, 1.0, 0.05)},
    (10, 3): {0.5: (0.84, 0.33, 0.05), 0.7: (0.99, 0.79, 0.05), 1.0: (1.0, 1.0, 0.05)},
}


def published(rng: Generator, grids: int) -> Iterator[Rate]:
    """Table E: F5 with the pooled sd known, and the mean over a table's 12 cells."""
    for (trials, runs), margins in REPRODUCED.items():
        ours = TRIAL_SD / np.sqrt(trials) * rng.standard_normal(grids)
        theirs = TRIAL_SD / np.sqrt(runs) * rng.standard_normal(grids)
        stated = {"std": TRIAL_SD, "trials": trials}
        stated |= {"published_std": TRIAL_SD, "published_runs": runs}
        for margin, expected in margins.items():
            for bias, chance in zip((0, 0.3, margin), expected, strict=True):
                found = [
                    published_difference(a + bias, b, **stated).verdict(margin)  # type: ignore[arg-type]
                    for a, b in zip(ours, theirs, strict=True)
                ]
                yield Rate(
                    place="E",
                    what=f"F5 T={trials} n_pub={runs} M={margin}, true difference {bias}",
                    expected=chance,
                    measured=np.mean([word == "reproduced" for word in found]),
                    grids=grids,
                    runs=40_000,
                )
    for margin, bias, chance in (
        (0.3, 0, 0.74),
        (0.5, 0, 0.997),
        (0.3, 0.3, 0.05),
        (0.5, 0.5, 0.05),
    ):
        sd = np.sqrt(0.3**2 + TRIAL_SD**2 * (1 / 5 + 1 / 3))  # of a cell's bias and of both means
        table = bias + sd * rng.standard_normal((grids, 12))
        found = [table_difference(row).verdict(margin) == "reproduced" for row in table]
        what = f"table of 12 cells, T=5, n_pub=3, M={margin}, mean bias {bias}"
        yield Rate(
            place="E",
            what=what,
            expected=chance,
            measured=np.mean(found),
            grids=grids,
            runs=10_000,
        )
