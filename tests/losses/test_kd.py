import numpy as np
import pytest
import scipy.stats

from repro.losses import CE, KD
from tests.losses.reference import cross_entropy, random_pair, softmax, terms


def test_kd_equals_a_slow_reference() -> None:
    student, teacher, batch = random_pair()
    s, t, labels = student.numpy(), teacher.numpy(), batch.labels.numpy()
    kl = [scipy.stats.entropy(q, p) for q, p in zip(softmax(t, 4.0), softmax(s, 4.0), strict=True)]
    expected = {"ce": 0.1 * cross_entropy(s, labels), "kd": 0.9 * 16 * np.mean(kl)}
    assert terms(KD(), student, teacher, batch) == pytest.approx(expected, rel=1e-9)


def test_ce_equals_a_slow_reference() -> None:
    student, teacher, batch = random_pair()
    expected = 2 * cross_entropy(student.numpy(), batch.labels.numpy())
    assert terms(CE(ce_weight=2.0), student, teacher, batch) == {"ce": pytest.approx(expected)}


def test_kd_is_zero_at_the_teacher() -> None:
    _, teacher, batch = random_pair()
    assert terms(KD(), teacher + 5, teacher, batch)["kd"] == pytest.approx(0, abs=1e-12)
