import numpy as np
import pytest
import scipy.special
import torch

from repro.losses import PLD
from repro.losses.pld import _RankingLoss
from repro.outputs import Outputs
from tests.losses.operations import Operations
from tests.losses.reference import batch_of, cross_entropy, gradient, random_pair, softmax, terms


def pld(s: np.ndarray, t: np.ndarray, label: int, temperature: float) -> float:
    """One image: choose the label, then what the teacher likes most of the rest."""
    weights, rest, chosen, value = softmax(t[None], temperature)[0], list(range(len(s))), label, 0.0
    while rest:
        value += weights[chosen] * (scipy.special.logsumexp(s[rest]) - s[chosen])
        rest.remove(chosen)
        chosen = max(rest, key=lambda k: t[k], default=-1)
    return value


@pytest.mark.parametrize("temperature", [4.0, 1.0])
def test_pld_equals_a_slow_reference(temperature: float) -> None:
    student, teacher, batch = random_pair()
    s, t, labels = student.numpy(), teacher.numpy(), batch.labels.numpy()
    rows = [pld(*row, temperature) for row in zip(s, t, labels, strict=True)]
    loss = PLD(temperature=temperature, ce_weight=0.5, pld_weight=2.0)
    expected = {"ce": 0.5 * cross_entropy(s, labels), "pld": 2 * np.mean(rows)}
    assert terms(loss, student, teacher, batch) == pytest.approx(expected, rel=1e-9)


def test_cross_entropy_is_left_out_by_default_and_still_a_term() -> None:
    assert terms(PLD(), *random_pair())["ce"] == 0


def test_a_teacher_sure_of_the_label_leaves_cross_entropy() -> None:
    student, teacher, batch = random_pair()
    sure = teacher.scatter(1, batch.labels[:, None], 1e4)
    expected = cross_entropy(student.numpy(), batch.labels.numpy())
    assert terms(PLD(), student, sure, batch)["pld"] == pytest.approx(expected, rel=1e-9)


def test_the_label_is_chosen_first_where_the_teacher_likes_it_least() -> None:
    """Uniform weights: the loss is ListMLE over K, here of the order 2, 0, 1."""
    s = torch.tensor([[0.3, -1.2, 0.5]]).double()
    teacher = torch.tensor([[1e-9, 0.5e-9, 0.0]]).double()
    order = [0.5, 0.3, -1.2]
    expected = sum(scipy.special.logsumexp(order[k:]) - order[k] for k in range(3)) / 3
    found = terms(PLD(), s, teacher, batch_of(torch.tensor([2])))["pld"]
    assert found == pytest.approx(expected, rel=1e-6)


def test_pld_does_not_see_what_is_added_to_all_classes() -> None:
    student, teacher, batch = random_pair()
    moved = terms(PLD(), student + 1e3, teacher - 1e3, batch)
    assert moved == pytest.approx(terms(PLD(), student, teacher, batch), rel=1e-9)
    assert gradient(PLD(), student, teacher, batch).sum(1).abs().max() < 1e-12


def test_pld_sees_the_teachers_order_beyond_its_weights() -> None:
    """At a temperature so high that all weigh alike, a student in the teacher's order has less."""
    teacher, batch = torch.arange(10.0).expand(4, 10).double(), batch_of(torch.full((4,), 9))
    right, wrong = (
        terms(PLD(temperature=1e6), s, teacher, batch)["pld"]
        for s in (teacher, teacher.flip(1).scatter(1, batch.labels[:, None], 9.0))
    )
    assert right < wrong - 1


def test_equal_teacher_logits_are_ranked_in_class_order_from_the_last() -> None:
    student, _, batch = random_pair()
    tied, ordered = torch.zeros(8, 10).double(), 1e-9 * torch.arange(10.0).expand(8, 10).double()
    found, expected = (terms(PLD(), student, t, batch)["pld"] for t in (tied, ordered))
    assert found == pytest.approx(expected, rel=1e-8)
    assert terms(PLD(), student, -ordered, batch)["pld"] != pytest.approx(expected, rel=1e-4)


def test_the_gradient_is_that_of_autograd_far_beyond_underflow() -> None:
    student, teacher, _ = random_pair()
    order, weights = teacher.argsort(dim=1), (30 * teacher).log_softmax(1)
    s = (300 * student).requires_grad_()
    (found,) = torch.autograd.grad(_RankingLoss.apply(s, order, weights), s)
    sorted_s = s.gather(1, order)
    value = (weights.exp() * (sorted_s.logcumsumexp(1) - sorted_s)).sum() / len(s)
    torch.testing.assert_close(found, torch.autograd.grad(value, s)[0], rtol=1e-9, atol=1e-12)


def test_a_step_takes_few_operations() -> None:
    student, teacher, batch = random_pair(batch=4)
    student.requires_grad_()
    with Operations() as step:
        torch.stack([*PLD()(Outputs(student), Outputs(teacher), batch).values()]).sum().backward()
    assert len(step.names) <= 36
