"""``make statistics``: measure error and power of every decision rule; exits with 1 on a surprise.

Each line is a rate under the model of ``tests.analysis.simulation``, beside what an independent
simulation of the formulas gave (place "own": bounds set here after a first measurement); they
differ by less than four standard errors and the rounding.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.random import Generator

from tests.analysis import simulated_claims as claims
from tests.analysis import simulated_rules as formulas
from tests.analysis.simulation import Rate, report

SECTIONS: tuple[Callable[[Generator, int], Iterator[Rate]], ...] = (
    formulas.cells,
    formulas.unequal_cells,
    formulas.pooled,
    formulas.shared_students,
    claims.families,
    formulas.published,
    claims.slopes,
    claims.planes,
    claims.planes_of_pairs,
    claims.rates_of_verdicts,
)


def measure(grids: int, seed: int = 0) -> list[Rate]:
    """Every section with random numbers of its own."""
    return [
        rate
        for number, section in enumerate(SECTIONS)
        for rate in section(np.random.default_rng((seed, number)), grids)
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--grids", type=int, default=2_000, help="a rule; default 2000, 25 seconds")
    parser.add_argument("--seed", type=int, default=0)
    words, began = parser.parse_args(), time.monotonic()
    rates = measure(words.grids, words.seed)
    print(*report(rates), sep="\n")
    differ = sum(not rate.holds for rate in rates)
    seconds = time.monotonic() - began
    print(f"{len(rates) - differ} of {len(rates)} rates hold, {words.grids} grids, {seconds:.0f} s")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
