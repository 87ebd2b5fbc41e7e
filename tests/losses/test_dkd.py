import numpy as np
import pytest
import scipy.stats
import torch

from repro.losses import DKD
from tests.losses.reference import cross_entropy, gradient, random_pair, softmax, terms


def test_dkd_equals_a_slow_reference() -> None:
    student, teacher, batch = random_pair()
    s, t, labels = student.numpy(), teacher.numpy(), batch.labels.numpy()
    target, others = [], []
    for z_s, z_t, label in zip(s, t, labels, strict=True):
        p, q = softmax(z_s[None], 4.0)[0], softmax(z_t[None], 4.0)[0]
        target.append(scipy.stats.entropy([q[label], 1 - q[label]], [p[label], 1 - p[label]]))
        p, q = np.delete(p, label), np.delete(q, label)
        others.append(scipy.stats.entropy(q / q.sum(), p / p.sum()))
    expected = {
        "ce": cross_entropy(s, labels),
        "tckd": 16 * np.mean(target),
        "nckd": 8 * 16 * np.mean(others),
    }
    assert terms(DKD(), student, teacher, batch) == pytest.approx(expected, rel=1e-9)


def test_the_divergence_of_kd_is_tckd_plus_the_others_share_of_nckd() -> None:
    loss = DKD(alpha=1.0, beta=1.0, temperature=2.0)
    for seed in range(5):
        student, teacher, batch = random_pair(batch=1, seed=seed)
        p, q = (softmax(z.numpy(), 2.0)[0] for z in (student, teacher))
        parts = terms(loss, student, teacher, batch)
        whole = parts["tckd"] + (1 - q[batch.labels.item()]) * parts["nckd"]
        assert whole == pytest.approx(4 * scipy.stats.entropy(q, p), rel=1e-9)


def test_dkd_is_zero_at_the_teacher() -> None:
    _, teacher, batch = random_pair()
    values = terms(DKD(), teacher + 5, teacher, batch)
    assert values["tckd"] == pytest.approx(0, abs=1e-12)
    assert values["nckd"] == pytest.approx(0, abs=1e-12)


def test_nckd_does_not_see_the_target_logit() -> None:
    student, teacher, batch = random_pair()
    moved = student.scatter_add(1, batch.labels[:, None], torch.full((8, 1), 1e4).double())
    before, after = (terms(DKD(), z, teacher, batch) for z in (student, moved))
    assert after["nckd"] == pytest.approx(before["nckd"], rel=1e-12)
    assert after["tckd"] > before["tckd"] + 1e3


def test_tckd_far_beyond_underflow_is_exact() -> None:
    """Student and teacher sure of opposite classes: the divergence is the lead of the logit."""
    student, teacher = torch.tensor([[1e4, 0.0, 0.0]]), torch.tensor([[0.0, 1e4, 0.0]])
    _, _, batch = random_pair(batch=1)
    batch.labels[0] = 0
    values = terms(DKD(beta=0.0), student, teacher, batch)
    assert values["tckd"] == pytest.approx(16 * (1e4 / 4 - np.log(2)), rel=1e-6)
    assert torch.isfinite(gradient(DKD(), student, teacher, batch)).all()


@pytest.mark.parametrize(
    ("epoch", "alpha", "beta"),
    [(0, 0.05, 0.4), (9, 0.5, 4.0), (19, 1.0, 8.0), (20, 1.0, 8.0), (100, 1.0, 8.0)],
)
def test_the_warm_up_of_20_epochs(epoch: int, alpha: float, beta: float) -> None:
    at = DKD().at_epoch(epoch)
    assert (at.alpha, at.beta, at.warmup_epochs) == (pytest.approx(alpha), pytest.approx(beta), 0)
    assert (at.ce_weight, at.temperature) == (1.0, 4.0)
    assert at.at_epoch(0) == at


def test_without_a_warm_up_every_epoch_is_alike() -> None:
    assert DKD(warmup_epochs=0).at_epoch(0) == DKD(warmup_epochs=0)
