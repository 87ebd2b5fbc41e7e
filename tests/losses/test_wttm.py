import numpy as np
import pytest
import scipy.stats
import torch

from repro.losses import TTM, WTTM
from tests.losses.reference import batch_of, cross_entropy, gradient, random_pair, softmax, terms


@pytest.mark.parametrize("loss", [WTTM(), WTTM(gamma=0.4, beta=16.0, ce_weight=0.5)], ids=str)
def test_wttm_equals_a_slow_reference(loss: WTTM) -> None:
    student, teacher, batch = random_pair()
    s, t = student.numpy(), teacher.numpy()
    weighed = []
    for p, of_teacher in zip(softmax(s), softmax(t), strict=True):
        powers = [float(x) ** loss.gamma for x in of_teacher]
        weighed.append(sum(powers) * scipy.stats.entropy(np.array(powers) / sum(powers), p))
    expected = {
        "ce": loss.ce_weight * cross_entropy(s, batch.labels.numpy()),
        "wttm": loss.beta * np.mean(weighed),
    }
    assert terms(loss, student, teacher, batch) == pytest.approx(expected, rel=1e-9)


def test_wttm_is_zero_at_the_transformed_teacher() -> None:
    _, teacher, batch = random_pair()
    loss = WTTM(ce_weight=0)
    assert terms(loss, 0.1 * teacher + 5, teacher, batch)["wttm"] == pytest.approx(0, abs=1e-11)
    assert gradient(loss, 0.1 * teacher + 5, teacher, batch).abs().max() < 1e-12


@pytest.mark.parametrize(
    ("teacher", "weight"),
    [(torch.zeros(1, 10), 10**0.6), (torch.tensor([[1e3] + 9 * [0.0]]), 1.0)],
    ids=["uniform", "sure"],
)
def test_an_image_weighs_1_where_the_teacher_is_sure_and_most_where_it_is_uniform(
    teacher: torch.Tensor, weight: float
) -> None:
    student, _, batch = random_pair(batch=1)
    plain = terms(TTM(gamma=0.4, beta=1.0), student, teacher.double(), batch)["ttm"]
    weighed = terms(WTTM(gamma=0.4, beta=1.0), student, teacher.double(), batch)["wttm"]
    assert weighed == pytest.approx(weight * plain, rel=1e-9)


def test_without_a_transform_every_image_weighs_the_same() -> None:
    pair = random_pair()
    plain = terms(TTM(gamma=1.0, beta=2.0), *pair)["ttm"]
    assert terms(WTTM(gamma=1.0, beta=2.0), *pair)["wttm"] == pytest.approx(plain, rel=1e-12)


def test_the_weights_are_each_images_own() -> None:
    """The term of a batch is the mean of its images', which it would not be after normalising."""
    student, teacher, batch = random_pair()
    alone = [
        terms(WTTM(), student[i : i + 1], teacher[i : i + 1], batch_of(batch.labels[i : i + 1]))
        for i in range(len(student))
    ]
    whole = terms(WTTM(), student, teacher, batch)["wttm"]
    assert whole == pytest.approx(np.mean([values["wttm"] for values in alone]), rel=1e-12)
