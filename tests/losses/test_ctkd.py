import math

import numpy as np
import pytest
import scipy.special
import scipy.stats
import torch

from repro.losses import CTKD, KD
from repro.outputs import Outputs
from tests.losses.made import adapter, made, terms, total
from tests.losses.reference import cross_entropy, softmax


def kl(theta: float) -> float:
    """T^2 KL of the made case at T = 1 + 20 sigmoid(theta), row by row."""
    case, temperature = made(), 1 + 20 * scipy.special.expit(theta)
    p, q = (softmax(x.logits.numpy(), temperature) for x in (case.student, case.teacher))
    rows = [scipy.stats.entropy(b, a) for a, b in zip(p, q, strict=True)]
    return temperature**2 * float(np.mean(rows))


@pytest.mark.parametrize("theta", [1.0, -2.0])
def test_ctkd_equals_a_slow_reference(theta: float) -> None:
    case, loss = made(), CTKD()
    module = adapter(loss, case)
    torch.nn.init.constant_(module.theta, theta)
    ce = cross_entropy(case.student.logits.numpy(), case.batch.labels.numpy())
    values = {name: value.item() for name, value in terms(loss, case, module).items()}
    assert values == pytest.approx({"ce": 0.1 * ce, "kd": 0.9 * kl(theta)}, rel=1e-9)


def test_the_adapter_is_one_number_and_the_first_temperature_is_15_6() -> None:
    module = adapter(CTKD(), made())
    assert sum(p.numel() for p in module.parameters()) == 1
    assert list(module.buffers()) == []
    assert module().item() == pytest.approx(1 + 20 / (1 + math.exp(-1)))


@pytest.mark.parametrize("magnitude", [1.0, 0.3])
def test_the_temperature_learns_against_the_loss(magnitude: float) -> None:
    """Its gradient is -lambda times the loss's, here by finite differences."""
    case, loss = made(), CTKD(magnitude=magnitude)
    module = adapter(loss, case)
    total(loss, case, module).backward()
    slope = 0.9 * (kl(1 + 1e-5) - kl(1 - 1e-5)) / 2e-5
    assert module.theta.grad.item() == pytest.approx(-magnitude * slope, rel=1e-5)


def test_a_step_of_descent_makes_the_task_harder() -> None:
    case, loss = made(), CTKD()
    module = adapter(loss, case)
    before = terms(loss, case, module)["kd"]
    before.backward()
    with torch.no_grad():
        module.theta -= 0.5 * module.theta.grad.sign()
        assert terms(loss, case, module)["kd"] > before


def test_the_student_learns_as_from_kd_at_that_temperature_whatever_lambda_is() -> None:
    case = made()
    student = case.student.logits.requires_grad_()
    module = adapter(CTKD(), case)
    value = KD(temperature=module().item())(Outputs(student), case.teacher, case.batch)["kd"]
    (expected,) = torch.autograd.grad(value, student)
    for magnitude in (0.0, 0.5, 1.0):
        loss = CTKD(ce_weight=0, magnitude=magnitude)
        (found,) = torch.autograd.grad(total(loss, case, module), student)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_ctkd_is_zero_at_the_teacher_at_any_temperature() -> None:
    case, loss = made(), CTKD()
    module = adapter(loss, case)
    value = loss(Outputs(case.teacher.logits + 5), case.teacher, case.batch, module)["kd"]
    value.backward()
    assert value.item() == pytest.approx(0, abs=1e-12)
    assert module.theta.grad.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("epoch", "share"), [(0, 0.024471742), (4, 0.5), (8, 0.975528258), (9, 1.0), (100, 1.0)]
)
def test_lambda_rises_along_a_cosine_over_ten_epochs(epoch: int, share: float) -> None:
    at = CTKD().at_epoch(epoch)
    assert (at.magnitude, at.ramp_epochs) == (pytest.approx(share), 0)
    assert at.at_epoch(0) == at
    assert CTKD(magnitude=0.5).at_epoch(epoch).magnitude == pytest.approx(share / 2)


def test_without_a_ramp_every_epoch_is_alike() -> None:
    assert CTKD(ramp_epochs=0).at_epoch(0) == CTKD(ramp_epochs=0)


def test_the_temperature_stays_between_its_bounds() -> None:
    module = adapter(CTKD(lowest=2.0, span=6.0), made())
    for theta, temperature in ((-1e3, 2.0), (0.0, 5.0), (1e3, 8.0)):
        torch.nn.init.constant_(module.theta, theta)
        assert module().item() == pytest.approx(temperature)
