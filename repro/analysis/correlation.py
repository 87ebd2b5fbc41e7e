"""Inter-class relations of two networks, from their test logits.

The field draws the difference of mean logits and calls it a correlation. The raw form favours
methods that match the logit scale, the z-scored one those that do not; so the true correlations of
the classes' logits and of their probabilities stand beside both.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from repro.errors import UserError

Matrix = NDArray[np.float64]
EPSILON = 1e-7  # as in logit standardisation, arXiv 2403.01427


def mean_logit_matrix(logits: ArrayLike, labels: ArrayLike, zscore: bool = False) -> Matrix:
    """M [K, K]: row c is the mean logit vector over the images of class c.

    ``logits`` [N, K], ``labels`` [N]. ``zscore`` first standardises each image's logits (unbiased
    std). Raises UserError for a class without images.
    """
    values, classes = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    if zscore:
        centred = values - values.mean(axis=1, keepdims=True)
        values = centred / (EPSILON + values.std(axis=1, ddof=1, keepdims=True))
    num_classes = values.shape[1]
    counts = np.bincount(classes, minlength=num_classes)
    if not counts.all():
        raise UserError(f"no test image of class {int(np.argmin(counts))}: its mean is undefined")
    sums = np.zeros((num_classes, num_classes))
    np.add.at(sums, classes, values)
    return sums / counts[:, None]


def class_correlation(values: ArrayLike) -> Matrix:
    """C [K, K]: Pearson correlation of the columns of logits or probabilities [N, K]."""
    return np.corrcoef(np.asarray(values, dtype=np.float64), rowvar=False)


def differences(
    student_logits: ArrayLike, teacher_logits: ArrayLike, labels: ArrayLike
) -> dict[str, Matrix]:
    """|student - teacher| in four forms, each [K, K] with a zero diagonal.

    ``raw`` and ``zscored``: mean logits by class; ``correlation`` and ``probabilities``:
    correlation of the classes' logits and of their softmax. Logits [N, K], labels [N].
    """
    both = [np.asarray(x, dtype=np.float64) for x in (student_logits, teacher_logits)]
    forms = {
        "raw": [mean_logit_matrix(x, labels) for x in both],
        "zscored": [mean_logit_matrix(x, labels, True) for x in both],
        "correlation": [class_correlation(x) for x in both],
        "probabilities": [class_correlation(softmax(x, axis=1)) for x in both],
    }
    return {name: _without_diagonal(np.abs(s - t)) for name, (s, t) in forms.items()}


def _without_diagonal(matrix: Matrix) -> Matrix:
    return matrix * (1 - np.eye(len(matrix)))


def summary_numbers(difference: Matrix) -> dict[str, float]:
    """Of one |D| [K, K]: mean and max off the diagonal, and the Frobenius norm."""
    off_diagonal = difference[~np.eye(len(difference), dtype=bool)]
    return {
        "mean": float(off_diagonal.mean()),
        "max": float(off_diagonal.max()),
        "frobenius": float(np.linalg.norm(difference)),
    }


def matrix_rows(matrix: Matrix, class_names: Sequence[str]) -> pd.DataFrame:
    """A matrix [K, K] as K * K rows: row_class, column_class, value (5 significant digits)."""
    names = np.asarray(class_names)
    rows, columns = np.indices(matrix.shape).reshape(2, -1)
    values = [float(f"{value:.5g}") for value in matrix.ravel()]
    return pd.DataFrame({"row_class": names[rows], "column_class": names[columns], "value": values})


def superclass_order(superclass_of: ArrayLike) -> NDArray[Any]:
    """The class indices [K] that put each superclass in one block; ``superclass_of`` [K] integers.

    Draw a matrix as ``D[np.ix_(order, order)]``.
    """
    return np.argsort(np.asarray(superclass_of), kind="stable")
