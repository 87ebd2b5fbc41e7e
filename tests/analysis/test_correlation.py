import numpy as np
import pytest

from repro.analysis.correlation import (
    class_correlation,
    differences,
    matrix_rows,
    mean_logit_matrix,
    summary_numbers,
    superclass_order,
)
from repro.errors import UserError

GENERATOR = np.random.default_rng(0)
LABELS = GENERATOR.permutation(np.repeat(np.arange(5), 8))
STUDENT, TEACHER = GENERATOR.normal(size=(2, 40, 5))


@pytest.mark.parametrize("zscore", [False, True])
def test_mean_logits_equal_slow_loops(zscore):
    expected = np.zeros((5, 5))
    for c in range(5):
        rows = []
        for logits, label in zip(STUDENT, LABELS, strict=True):
            if label == c:
                scale = 1e-7 + logits.std(ddof=1)
                rows.append((logits - logits.mean()) / scale if zscore else logits)
        expected[c] = sum(rows) / len(rows)
    assert mean_logit_matrix(STUDENT, LABELS, zscore) == pytest.approx(expected)


def test_a_class_without_images_is_an_error():
    with pytest.raises(UserError, match="no test image of class 3"):
        mean_logit_matrix(STUDENT, np.where(LABELS == 3, 0, LABELS))


def test_class_correlation_equals_corrcoef():
    for i in range(5):
        for j in range(5):
            expected = np.corrcoef(STUDENT[:, i], STUDENT[:, j])[0, 1]
            assert class_correlation(STUDENT)[i, j] == pytest.approx(expected)


def test_the_four_differences():
    found = differences(STUDENT, TEACHER, LABELS)
    assert list(found) == ["raw", "zscored", "correlation", "probabilities"]
    for matrix in found.values():
        assert matrix.shape == (5, 5)
        assert (matrix >= 0).all()
        assert np.diag(matrix) == pytest.approx(np.zeros(5))
    raw = np.abs(mean_logit_matrix(STUDENT, LABELS) - mean_logit_matrix(TEACHER, LABELS))
    assert found["raw"][0, 1] == pytest.approx(raw[0, 1])
    correlation = np.abs(np.corrcoef(STUDENT.T) - np.corrcoef(TEACHER.T))
    assert found["correlation"] == pytest.approx(correlation)
    p_s, p_t = (np.exp(x) / np.exp(x).sum(axis=1, keepdims=True) for x in (STUDENT, TEACHER))
    probabilities = np.abs(np.corrcoef(p_s.T) - np.corrcoef(p_t.T))
    assert found["probabilities"] == pytest.approx(probabilities)


def test_a_network_equals_itself_and_standardised_forms_ignore_the_scale():
    assert all(not m.any() for m in differences(STUDENT, STUDENT, LABELS).values())
    scaled = differences(3 * STUDENT + 1, STUDENT, LABELS)
    assert scaled["raw"].max() > 0.1
    assert scaled["zscored"] == pytest.approx(np.zeros((5, 5)), abs=1e-6)
    assert scaled["correlation"] == pytest.approx(np.zeros((5, 5)), abs=1e-12)


def test_summary_numbers_by_hand():
    numbers = summary_numbers(np.array([[0.0, 3.0], [4.0, 0.0]]))
    assert numbers == pytest.approx({"mean": 3.5, "max": 4.0, "frobenius": 5.0})


def test_a_matrix_as_rows():
    found = matrix_rows(np.array([[0.0, 1.2345678], [123456.0, 0.00012345678]]), ["cat", "dog"])
    assert found.to_numpy().tolist() == [
        ["cat", "cat", 0.0],
        ["cat", "dog", 1.2346],
        ["dog", "cat", 123460.0],
        ["dog", "dog", 0.00012346],
    ]
    assert list(found.columns) == ["row_class", "column_class", "value"]


def test_superclasses_are_contiguous_and_keep_their_inner_order():
    superclass_of = np.array([2, 0, 1, 0, 2, 1])
    order = superclass_order(superclass_of)
    assert order.tolist() == [1, 3, 2, 5, 0, 4]
    assert sorted(order) == list(range(6))
    assert (np.diff(superclass_of[order]) >= 0).all()
