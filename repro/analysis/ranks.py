"""Do student and teacher order the classes alike? Rank correlations of each test image's logits.

Spearman's rho and Kendall's tau-b, over all classes and over the teacher's first few, against the
image's difficulty: the entropy of the teacher's probabilities.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import entr, softmax, stdtrit

from repro.errors import UserError

TOP = (5, 10)  # the teacher's first classes over which agreement is measured as well
BINS = 10
SIGNS_AT_ONCE = 5_000_000  # of pairs of classes: 20 MB an array

Values = NDArray[np.float64]


def rank_agreement(
    student_logits: ArrayLike, teacher_logits: ArrayLike, *, top: Sequence[int] = TOP
) -> pd.DataFrame:
    """A row an image: entropy (nats), spearman, kendall, then spearman_top5, kendall_top5, ...

    Logits [N, K]. ``top``: the classes with the teacher's largest logits, of equal ones the first;
    at most K of them. NaN where all logits of one side are equal. Ties count as in SciPy. 10,000
    images of 100 classes: 2 s. Raises UserError where the shapes differ or a K is below 2.
    """
    student, teacher = (np.asarray(x, dtype=np.float32) for x in (student_logits, teacher_logits))
    if student.shape != teacher.shape or student.ndim != 2 or min(student.shape[1], *top) < 2:
        raise UserError(
            f"ranks need two arrays [N, K] of one shape and 2 classes or more, not "
            f"{student.shape}, {teacher.shape}, top {tuple(top)}"
        )
    columns = {"entropy": entropy(teacher)}
    columns["spearman"], columns["kendall"] = correlations(student, teacher)
    order = np.argsort(-teacher, axis=1, kind="stable")
    for count in top:
        first = order[:, :count]
        both = (np.take_along_axis(x, first, axis=1) for x in (student, teacher))
        columns[f"spearman_top{count}"], columns[f"kendall_top{count}"] = correlations(*both)
    return pd.DataFrame(columns)


def entropy(logits: ArrayLike) -> Values:
    """Of the probabilities of each row [N, K], in nats: 0 to log K."""
    return entr(softmax(np.asarray(logits, dtype=np.float64), axis=1)).sum(axis=1)


def correlations(a: NDArray[np.float32], b: NDArray[np.float32]) -> tuple[Values, Values]:
    """Spearman's rho and Kendall's tau-b of each row of two [N, K]; NaN where a row is constant.

    From the signs of the differences of all pairs of classes: their product gives tau-b (the norm
    counts the pairs that are not tied), their sum a class's average rank less the mean rank, times
    two.
    """
    chunk = max(1, SIGNS_AT_ONCE // a.shape[1] ** 2)
    starts = range(0, len(a), chunk)
    parts = [_of_chunk(a[i : i + chunk], b[i : i + chunk]) for i in starts]
    if not parts:
        return np.empty(0), np.empty(0)
    spearman, kendall = zip(*parts, strict=True)
    return np.concatenate(spearman), np.concatenate(kendall)


def _of_chunk(a: NDArray[np.float32], b: NDArray[np.float32]) -> tuple[Values, Values]:
    signs = [np.sign(x[:, :, None] - x[:, None, :]) for x in (a, b)]  # [B, K, K]
    ranks = [s.sum(axis=2, dtype=np.float64) for s in signs]
    flat = [s.reshape(len(a), -1) for s in signs]
    return _cosine(*ranks), _cosine(*flat)


def _cosine(a: NDArray, b: NDArray) -> Values:
    product, first, second = (
        np.einsum("nk,nk->n", x, y).astype(np.float64) for x, y in ((a, b), (a, a), (b, b))
    )
    norm = np.sqrt(first * second)
    return np.divide(product, norm, out=np.full(len(a), np.nan), where=norm > 0)


def by_difficulty(agreement: pd.DataFrame, bins: int = BINS) -> pd.DataFrame:
    """``rank_agreement`` in ``bins`` groups of images, as equal in number as can be, easiest first.

    A row a bin (0, 1, ...), then one of all images (bin -1): difficulty (the bin's middle as a
    share of the images, 0 easiest, 1 hardest), images, and each column's mean. Among images of
    equal entropy those with lower positions count as easier. Raises UserError for too few images.
    """
    if not 1 <= bins <= len(agreement):
        raise UserError(f"{bins} bins of {len(agreement)} images: 1 to {len(agreement)} can be")
    by_entropy = agreement.iloc[np.argsort(agreement["entropy"], kind="stable")]
    groups = np.arange(len(agreement)) * bins // len(agreement)
    table = by_entropy.groupby(groups).mean()
    table.insert(0, "bin", table.index)
    table.insert(1, "difficulty", (table.index + 0.5) / bins)
    table.insert(2, "images", np.bincount(groups))
    everything = {"bin": -1, "difficulty": 0.5, "images": len(agreement)} | dict(agreement.mean())
    return pd.concat([table, pd.DataFrame([everything])], ignore_index=True)


def fitted_band(
    trials: Sequence[tuple[Values, Values]], at: Values, degree: int = 2
) -> tuple[Values, Values]:
    """A polynomial fitted to each trial's (x, y): at ``at`` the trials' mean, and its 95 % half.

    Least squares. The half-width is that of Student's t interval over trials, the unit that was
    repeated; NaN for one trial.
    """
    fits = np.stack([np.polyval(np.polyfit(x, y, degree), at) for x, y in trials])
    count = len(fits)
    if count < 2:
        return fits[0], np.full(fits.shape[1], np.nan)
    half = stdtrit(count - 1, 0.975) * fits.std(axis=0, ddof=1) / np.sqrt(count)
    return fits.mean(axis=0), half
