"""The formulas of the decision rules on arrays: F1-F3 of accuracies, F6 of slopes, F7 of planes.

Leading axes, written ``...``, are independent experiments: none for ours, thousands in
``tests.analysis.simulate``, which measures the error and power of these very functions.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit  # scipy.stats has the same, and takes 0.5 s to import

Array = NDArray[np.float64]


class Statistic(NamedTuple):
    """An estimate, its standard error and its degrees of freedom, for Student's t."""

    estimate: Array  # [...]
    standard_error: Array
    df: Array | float

    def bounds(self, confidence: float = 0.95) -> tuple[Array, Array]:
        """The two-sided interval: low, high."""
        half = stdtrit(self.df, (1 + confidence) / 2) * self.standard_error
        return self.estimate - half, self.estimate + half

    def p(self) -> Array:
        """Two-sided, of H0: no effect."""
        return 2 * stdtr(self.df, -np.abs(_ratio(self.estimate, self.standard_error)))

    def p_at_least(self, effect: float) -> Array:
        """One-sided, of H0: the effect is ``effect`` or more."""
        return stdtr(self.df, _ratio(self.estimate - effect, self.standard_error))


def _ratio(difference: Array, error: Array) -> Array:
    """Their quotient; 0 for 0 / 0, which speaks for no hypothesis."""
    with np.errstate(divide="ignore", invalid="ignore"):
        nothing = np.equal(difference, 0) & np.equal(error, 0)
        return np.where(nothing, 0.0, np.divide(difference, error))


class MeanSquares(NamedTuple):
    """The mean squares of a two-way table, with R - 1, C - 1 and (R - 1)(C - 1) df."""

    rows: Array
    columns: Array
    residual: Array


def mean_squares(table: Array) -> MeanSquares:
    """Of a table [..., R, C] with one value a cell; R, C >= 2."""
    rows, columns = table.shape[-2:]
    of_row, of_column = table.mean(-1, keepdims=True), table.mean(-2, keepdims=True)
    residual = table - of_row - of_column + table.mean((-2, -1), keepdims=True)
    return MeanSquares(
        columns * of_row[..., 0].var(-1, ddof=1),
        rows * of_column[..., 0, :].var(-1, ddof=1),
        (residual**2).sum((-2, -1)) / ((rows - 1) * (columns - 1)),
    )


def cell(table: Array) -> Statistic:
    """F1: column 0 minus column 1 of a pair's table [..., T trials, M methods]; T, M >= 2.

    SE^2 = max(2 MSE, s_d^2) / T with the residual mean square of the whole table and
    (M - 1)(T - 1) df: the other methods lend their residuals, and the maximum keeps the error in
    check where one method is noisier than they are. M = 2 is the paired t.
    """
    trials, methods = table.shape[-2:]
    difference = table[..., 0] - table[..., 1]
    spread = np.maximum(2 * mean_squares(table).residual, difference.var(-1, ddof=1))
    df = (methods - 1) * (trials - 1)
    return Statistic(difference.mean(-1), np.sqrt(spread / trials), df)


def these_pairs(means: Array, variances: Array, trials: ArrayLike) -> Statistic:
    """F2: the average of P pairs, as a statement on them alone; all [..., P].

    SE^2 = sum_p s_dp^2 / T_p / P^2, df = sum_p (T_p - 1); the variances are taken as alike.
    """
    counts = np.broadcast_to(trials, variances.shape)
    error = np.sqrt((variances / counts).sum(-1)) / means.shape[-1]
    return Statistic(means.mean(-1), error, (counts - 1).sum(-1))


def in_general(units: Array) -> Statistic:
    """F3: the t statistic of the mean of units [..., S], S >= 2.

    With equal T this is Hartung-Knapp-Sidik-Jonkman (Hartung & Knapp 2001, Statistics in Medicine
    20) with a common variance within, hence pairs weigh the same: weights from 3 trials are noise.
    """
    size = units.shape[-1]
    return Statistic(units.mean(-1), units.std(-1, ddof=1) / np.sqrt(size), size - 1)


def average_by(values: Array, groups: Sequence[str]) -> Array:
    """[..., P] to [..., groups]: the mean over those of one group, in order of appearance."""
    places = np.asarray(groups)
    return np.stack([values[..., places == g].mean(-1) for g in dict.fromkeys(groups)], axis=-1)


def pair_spread(means: Array, variances: Array, trials: ArrayLike) -> Array:
    """tau-hat, the sd of the effect over pairs without the noise of trials; all [..., P]."""
    noise = (variances / np.asarray(trials)).mean(-1)
    return np.sqrt(np.maximum(0, means.var(-1, ddof=1) - noise))


def slope(x: Array, means: Array) -> Statistic:
    """F6 in general: least squares of means [..., K] on x [K], K - 2 df; K >= 3."""
    centred = x - x.mean()
    squares = (centred**2).sum()
    value = means @ centred / squares
    fitted = means.mean(-1, keepdims=True) + np.multiply.outer(value, centred)
    residual = ((means - fitted) ** 2).sum(-1) / (x.size - 2)
    return Statistic(value, np.sqrt(residual / squares), x.size - 2)


def contrast(weights: Array, means: Array, variances: Array, trials: ArrayLike) -> Statistic:
    """A weighted sum of means [..., K] under the trials' noise alone, sum (T - 1) df.

    F6 of these teachers has weights (x - mean) / Sxx: SE^2 = s^2 / (T Sxx) where T is equal.
    """
    counts = np.broadcast_to(trials, variances.shape)
    df = (counts - 1).sum(-1)
    pooled = (variances * (counts - 1)).sum(-1) / df
    error = np.sqrt(pooled * (weights**2 / counts).sum(-1))
    return Statistic(means @ weights, error, df)


def planes(table: Array) -> Statistic:
    """F7: the mean of differences [..., T trials, J planes], both drawn at random; T, J >= 2.

    Planes of one trial share its network, and each plane serves every trial: with num = MS_T +
    MS_J - MS_E, SE^2 = max(num, MS_E) / (J T), df by Satterthwaite, and T - 1 at least.
    """
    trials, count = table.shape[-2:]
    of_trial, of_plane, rest = mean_squares(table)
    total = of_trial + of_plane - rest
    parts = (
        of_trial**2 / (trials - 1)
        + of_plane**2 / (count - 1)
        + rest**2 / ((trials - 1) * (count - 1))
    )
    with np.errstate(invalid="ignore"):  # a constant table has no df to estimate
        df = np.fmax(trials - 1, total**2 / parts)
    error = np.sqrt(np.maximum(total, rest) / (count * trials))
    return Statistic(table.mean((-2, -1)), error, df)


def plane_variance(table: Array) -> Array:
    """sigma_J^2 = max(0, MS_J - MS_E) / T of a table [..., T, J]: what all trials share."""
    squares = mean_squares(table)
    return np.maximum(0, squares.columns - squares.residual) / table.shape[-2]
