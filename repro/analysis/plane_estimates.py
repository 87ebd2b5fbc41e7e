"""F7, claim C3: differences of decision boundaries on planes through three images.

``pairs``: by "teacher:student" a frame of differences d_tj, a row a trial, a column a plane, the
same planes for every trial and pair. The trial is the unit, never the plane. A trial with a missing
plane is left out.
"""

import math
from dataclasses import replace

import numpy as np
import pandas as pd

from repro.analysis import rules
from repro.analysis.estimates import MIN_UNITS, Counts, Estimate, Pairs

MIN_PLANE_TRIALS = 5  # its error is 0.06-0.075 at three trials, 0.05 from five on (simulated)


def planes(pairs: Pairs) -> Estimate:
    """F7 on these pairs: of one table, or of the mean of several, trial by trial.

    Averaging first keeps what the pairs share, the planes, in the standard error.
    """
    run, counts = _run(pairs)
    tables = list(run.values())
    table = (sum(tables[1:], tables[0]) / len(tables)).dropna() if run else pd.DataFrame()
    counts = replace(counts, trials=len(table))
    estimate = Estimate(formula="F7", scope="these pairs", counts=counts)
    if len(table) < MIN_PLANE_TRIALS:
        return estimate
    values = table.to_numpy(float)
    shared = float(rules.plane_variance(values)) / values.shape[1]
    return replace(estimate.filled(rules.planes(values)), shared=shared)


def planes_in_general(pairs: Pairs) -> Estimate:
    """F7 over pairs: F3 on the pair means, SE^2 + sigma_J^2 / J since the planes are common.

    ``tau`` is that of F3; the planes, the same for all pairs, are no part of it.
    """
    run, counts = _run(pairs)
    means = np.array([table.to_numpy().mean() for table in run.values()])
    units = rules.average_by(means, [_student(pair) for pair in run]) if run else means
    estimate = Estimate(
        estimate=float(units.mean()) if units.size else math.nan,
        formula="F7 over pairs",
        scope="in general",
        counts=counts,
    )
    if units.size < MIN_UNITS:
        return estimate
    arrays = [table.to_numpy(float) for table in run.values()]
    shared = np.mean([rules.plane_variance(array) / array.shape[1] for array in arrays])
    found = rules.in_general(units)
    error = np.sqrt(found.standard_error**2 + shared)
    own = np.array([array.mean(1).var(ddof=1) for array in arrays])  # of a trial's mean
    trials = np.array([len(array) for array in arrays], dtype=float)
    tau = float(rules.pair_spread(means, own, trials))
    return estimate.filled(found._replace(standard_error=error), tau=tau)


def _run(pairs: Pairs) -> tuple[dict[str, pd.DataFrame], Counts]:
    """The pairs with enough complete trials and planes, and what is counted of them."""
    complete = {pair: table.dropna() for pair, table in pairs.items()}
    run = {
        pair: table
        for pair, table in complete.items()
        if len(table) >= MIN_PLANE_TRIALS and table.shape[1] > 1
    }
    return run, Counts(
        pairs=len(run),
        students=len({_student(pair) for pair in run}),
        trials=min((len(table) for table in run.values()), default=0),
        runs=2 * sum(len(table) for table in run.values()),
        missing=tuple(pair for pair in pairs if pair not in run),
    )


def _student(pair: str) -> str:
    return pair.rpartition(":")[2]
