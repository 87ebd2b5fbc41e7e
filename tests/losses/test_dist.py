import pytest
import torch

from repro.losses import DIST
from repro.outputs import Outputs
from tests.losses.reference import correlations, cross_entropy, random_pair, softmax, terms


@pytest.mark.parametrize(
    "loss", [DIST(), DIST(temperature=1.0, kd_weight=1.0, beta=3.0, gamma=0.5)]
)
def test_dist_equals_a_slow_reference(loss: DIST) -> None:
    student, teacher, batch = random_pair()
    p_s, p_t = (softmax(z.numpy(), loss.temperature) for z in (student, teacher))
    scale = loss.kd_weight * loss.temperature**2
    expected = {
        "ce": cross_entropy(student.numpy(), batch.labels.numpy()),
        "inter": scale * loss.beta * (1 - correlations(p_s, p_t).mean()),
        "intra": scale * loss.gamma * (1 - correlations(p_s.T, p_t.T).mean()),
    }
    assert terms(loss, student, teacher, batch) == pytest.approx(expected, rel=1e-9)


def test_dist_is_zero_at_the_teacher() -> None:
    _, teacher, batch = random_pair()
    values = terms(DIST(), teacher + 5, teacher, batch)
    assert values["inter"] == pytest.approx(0, abs=1e-12)
    assert values["intra"] == pytest.approx(0, abs=1e-12)


def test_classes_that_are_never_predicted_keep_their_correlation_in_float32() -> None:
    _, teacher, batch = random_pair(batch=16)
    teacher[:, 5:] -= 40  # probabilities near 1e-18: the squares underflow
    student = teacher.float()
    values = terms(DIST(temperature=1.0), student, student, batch)
    assert values["intra"] == pytest.approx(0, abs=1e-5)


def test_the_intra_term_of_one_image_is_its_largest_value_without_a_gradient() -> None:
    student, teacher, batch = random_pair(batch=1)
    student.requires_grad_()
    intra = DIST()(Outputs(student), Outputs(teacher), batch)["intra"]
    assert intra.item() == 2 * 16
    (grad,) = torch.autograd.grad(intra, student)
    assert not grad.any()
