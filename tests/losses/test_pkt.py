import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
import torch

from repro.losses import PKT
from tests.losses.made import Case, made, terms
from tests.losses.reference import Array, cross_entropy

EPS = 1e-7


def likeness(features: Array, i: int, j: int) -> float:
    a, b = (features[k] / (np.sqrt(np.sum(features[k] ** 2)) + EPS) for k in (i, j))
    return float((np.sum(a * b) + 1) / 2)


def probabilities(features: Array) -> Array:
    count = len(features)
    kernel = [[likeness(features, i, j) for j in range(count)] for i in range(count)]
    return np.array([np.array(row) / sum(row) for row in kernel])


def pooled(case: Case) -> tuple[Array, Array]:
    assert case.student.pooled is not None
    assert case.teacher.pooled is not None
    return case.student.pooled.numpy(), case.teacher.pooled.numpy()


def with_pooled(case: Case, pooled: torch.Tensor) -> Case:
    return replace(case, student=replace(case.student, pooled=pooled))


def test_pkt_equals_a_slow_reference() -> None:
    case = made()
    q, p = (probabilities(x) for x in pooled(case))
    parts = [
        p[i, j] * math.log((p[i, j] + EPS) / (q[i, j] + EPS)) for i in range(6) for j in range(6)
    ]
    expected = {
        "ce": cross_entropy(case.student.logits.numpy(), case.batch.labels.numpy()),
        "pkt": 30000 * sum(parts) / 6**2,
    }
    found = {name: value.item() for name, value in terms(PKT(), case).items()}
    assert found == pytest.approx(expected, rel=1e-9)


def test_without_the_image_itself_pkt_is_the_paper_s_sum_over_the_squared_batch() -> None:
    """Up to the code's eps of 1e-7."""
    case = made()
    total = 0.0
    distances = [scipy.spatial.distance.cdist(x, x, "cosine") for x in pooled(case)]
    for i in range(6):
        q, p = (np.delete(1 - d[i] / 2, i) for d in distances)
        total += scipy.stats.entropy(p, q)  # both divided by their sums there
    found = terms(PKT(with_itself=False), case)["pkt"].item()
    assert found == pytest.approx(30000 * total / 6**2, rel=1e-5)


@pytest.mark.parametrize("with_itself", [True, False])
def test_pkt_is_zero_where_the_student_points_as_the_teacher(with_itself: bool) -> None:
    case = made()
    assert case.teacher.pooled is not None
    lengths = torch.linspace(1, 9, 6, dtype=torch.float64)[:, None]
    like = with_pooled(case, 1e3 * lengths * case.teacher.pooled)
    loss = PKT(with_itself=with_itself)
    assert terms(loss, like)["pkt"].item() == pytest.approx(0, abs=1e-3)
    assert terms(loss, case)["pkt"] > 1


def test_an_image_alone_is_like_no_other() -> None:
    case = made(batch=1)
    for with_itself in (True, False):
        assert terms(PKT(with_itself=with_itself), case)["pkt"] == 0
