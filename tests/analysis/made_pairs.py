"""Trials by pair from given values, for the tests of estimates."""

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from repro.analysis.estimates import Counts, Estimate

ARMS = ("cmkd", "kd")


def pair_of(*differences: float, kd: float = 70.0) -> pd.DataFrame:
    """Two methods whose differences are given; kd drifts, as trials do."""
    base = kd + 0.1 * np.arange(len(differences))
    return pd.DataFrame({"kd": base, "cmkd": base + np.array(differences)})


def drawn(seed: int, *, pairs: int = 8, trials: int = 4, students: int = 6) -> dict:
    """Random pairs "t<i>:s<j>" of three methods; the first ``students`` students come twice."""
    rng = np.random.default_rng(seed)
    return {
        f"t{i}:s{i % students}": pd.DataFrame(
            rng.normal(70, 0.3, (trials, 3)) + rng.normal(0, 0.3, (trials, 1)),
            columns=["kd", "cmkd", "dkd"],
        )
        for i in range(pairs)
    }


def estimate(value: float, error: float, *, df: float = 16, trials: int = 5) -> Estimate:
    return Estimate(
        formula="F1",
        scope="these pairs",
        counts=Counts(pairs=1, students=1, trials=trials, runs=2 * trials),
        estimate=value,
        standard_error=error,
        df=df,
        variance=error**2 * trials,
    )


values = st.floats(-5, 5, allow_nan=False)
errors = st.floats(0.001, 5)
ESTIMATES = st.builds(estimate, values, errors, df=st.floats(1, 100))
