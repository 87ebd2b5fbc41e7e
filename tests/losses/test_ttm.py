import numpy as np
import pytest
import scipy.stats

from repro.losses import KD, TTM
from tests.losses.reference import cross_entropy, gradient, random_pair, softmax, terms


def powered(z: np.ndarray, gamma: float) -> np.ndarray:
    """p_k^gamma / sum_j p_j^gamma of each row's probabilities p."""
    powers = np.array([[float(x) ** gamma for x in row] for row in softmax(z)])
    return np.array([row / sum(row) for row in powers])


@pytest.mark.parametrize("loss", [TTM(), TTM(gamma=0.4, beta=40.0, ce_weight=0.5)], ids=str)
def test_ttm_equals_a_slow_reference(loss: TTM) -> None:
    student, teacher, batch = random_pair()
    s, t = student.numpy(), teacher.numpy()
    rows = zip(powered(t, loss.gamma), softmax(s), strict=True)
    expected = {
        "ce": loss.ce_weight * cross_entropy(s, batch.labels.numpy()),
        "ttm": loss.beta * np.mean([scipy.stats.entropy(q, p) for q, p in rows]),
    }
    assert terms(loss, student, teacher, batch) == pytest.approx(expected, rel=1e-9)


def test_ttm_is_zero_at_the_transformed_teacher_alone() -> None:
    _, teacher, batch = random_pair()
    loss = TTM(ce_weight=0)
    assert terms(loss, 0.1 * teacher + 5, teacher, batch)["ttm"] == pytest.approx(0, abs=1e-11)
    assert gradient(loss, 0.1 * teacher + 5, teacher, batch).abs().max() < 1e-12
    assert terms(loss, teacher, teacher, batch)["ttm"] > 1


def test_without_a_transform_ttm_is_kd_at_temperature_1() -> None:
    pair = random_pair()
    kd = terms(KD(temperature=1.0, ce_weight=1.0, kd_weight=3.0), *pair)
    assert terms(TTM(gamma=1.0, beta=3.0), *pair) == pytest.approx(
        {"ce": kd["ce"], "ttm": kd["kd"]}, rel=1e-12
    )


def test_ttm_does_not_see_what_both_networks_add_to_all_classes() -> None:
    student, teacher, batch = random_pair()
    moved = terms(TTM(), student + 7, teacher - 300, batch)
    assert moved == pytest.approx(terms(TTM(), student, teacher, batch), rel=1e-9)
