import numpy as np
import pytest
import torch

from repro.losses import NKD
from tests.losses.reference import cross_entropy, gradient, random_pair, softmax, terms


def test_nkd_equals_a_slow_reference() -> None:
    student, teacher, batch = random_pair()
    s, t, labels = student.numpy(), teacher.numpy(), batch.labels.numpy()
    target, others = [], []
    for z_s, z_t, label in zip(s, t, labels, strict=True):
        target.append(-softmax(z_t[None])[0][label] * np.log(softmax(z_s[None])[0][label]))
        p, q = (np.delete(softmax(z[None], 3.0)[0], label) for z in (z_s, z_t))
        others.append(-sum(q / q.sum() * np.log(p / p.sum())))
    expected = {
        "ce": cross_entropy(s, labels),
        "target": np.mean(target),
        "non_target": 3.5 * 9 * np.mean(others),
    }
    assert terms(NKD(), student, teacher, batch) == pytest.approx(expected, rel=1e-9)


def test_the_other_classes_term_is_least_at_the_teacher_where_it_is_its_entropy() -> None:
    _, teacher, batch = random_pair()
    loss = NKD(ce_weight=0, target_weight=0)
    least = terms(loss, teacher + 5, teacher, batch)["non_target"]
    rows = zip(teacher.numpy(), batch.labels.tolist(), strict=True)
    q = [softmax(np.delete(z, label)[None], 3.0)[0] for z, label in rows]
    assert least == pytest.approx(-3.5 * 9 * np.mean([sum(p * np.log(p)) for p in q]), rel=1e-9)
    assert gradient(loss, teacher + 5, teacher, batch).abs().max() < 1e-12
    for seed in range(5):
        student = teacher + 0.1 * random_pair(seed=seed)[0]
        assert terms(loss, student, teacher, batch)["non_target"] > least


def test_the_other_classes_term_does_not_see_the_targets_logit() -> None:
    student, teacher, batch = random_pair()
    moved = student.scatter_add(1, batch.labels[:, None], torch.full((8, 1), 1e4).double())
    before, after = (terms(NKD(), z, teacher, batch) for z in (student, moved))
    assert after["non_target"] == pytest.approx(before["non_target"], rel=1e-12)
    assert after["ce"] == 0 != before["ce"]


def test_the_target_term_is_cross_entropy_weighed_by_the_teachers_trust_in_the_label() -> None:
    student, teacher, batch = random_pair()
    sure = teacher.scatter(1, batch.labels[:, None], 1e3)
    values = terms(NKD(), student, sure, batch)
    assert values["target"] == pytest.approx(values["ce"], rel=1e-12)
    wrong = terms(NKD(), student, -sure, batch)
    assert wrong["target"] == 0 != wrong["ce"]


def test_a_temperature_does_not_reach_the_target_term() -> None:
    student, teacher, batch = random_pair()
    cold, warm = (terms(NKD(temperature=t), student, teacher, batch) for t in (1.0, 9.0))
    assert cold["target"] == warm["target"]
    assert cold["non_target"] != pytest.approx(warm["non_target"], rel=0.1)
