"""Several losses at once: terms, cross-entropy, adapters, warm-ups."""

import pytest
import torch
from torch import Tensor, nn

from repro.errors import UserError
from repro.losses import CC, CE, CMKD, DIST, DKD, KD, Sum, named
from repro.losses.protocol import uses_features, uses_teacher
from repro.outputs import Outputs
from repro.spec import decode, encode
from tests.losses.made import adapter, made, terms, total


def values(given: dict[str, Tensor]) -> dict[str, float]:
    return {name: term.item() for name, term in given.items()}


def test_a_sum_has_every_term_and_the_first_loss_weighs_cross_entropy() -> None:
    case = made()
    kd, cmkd = values(terms(KD(), case)), values(terms(CMKD(), case))
    both = values(terms(Sum(losses=(KD(), CMKD())), case))
    assert both == kd | {"pearson": cmkd["pearson"], "spearman": cmkd["spearman"]}
    other = values(terms(Sum(losses=(CMKD(), KD())), case))
    assert other["ce"] == cmkd["ce"] == pytest.approx(10 * kd["ce"])
    assert Sum(losses=(CMKD(), KD())).ce_weight == 1.0


def test_terms_of_one_name_are_added_up() -> None:
    case = made()
    alone = values(terms(KD(), case))
    twice = values(terms(Sum(losses=(KD(), KD(temperature=2.0, kd_weight=3.0))), case))
    more = values(terms(KD(temperature=2.0, kd_weight=3.0), case))
    assert twice == pytest.approx({"ce": alone["ce"], "kd": alone["kd"] + more["kd"]})


def test_the_gradient_is_the_sum_of_the_gradients() -> None:
    def gradient(loss: object) -> Tensor:
        case = made()
        logits = case.student.logits.requires_grad_()
        (result,) = torch.autograd.grad(total(loss, case), logits)  # type: ignore[arg-type]
        return result

    sum_of_parts = gradient(KD()) + gradient(DIST(ce_weight=0.0))
    torch.testing.assert_close(gradient(named("kd+dist")), sum_of_parts)


def test_warm_ups_and_diagnostics_are_those_of_the_parts() -> None:
    case, loss = made(), Sum(losses=(DKD(), CMKD()))
    assert loss.at_epoch(9) == Sum(losses=(DKD().at_epoch(9), CMKD()))
    logged = loss.diagnostics(case.student, case.teacher, case.batch)
    expected = CMKD().diagnostics(case.student, case.teacher, case.batch)
    torch.testing.assert_close(logged, expected)


def test_each_part_has_its_own_adapter_and_starts_as_alone() -> None:
    case = made()
    alone = adapter(named("fitnet"), case)
    both = adapter(named("fitnet+cmkd"), case)
    assert isinstance(both, nn.ModuleList)
    assert isinstance(both[1], nn.Identity)
    assert alone is not None
    assert all(
        torch.equal(one, other)
        for one, other in zip(alone.parameters(), both.parameters(), strict=True)
    )
    assert adapter(named("kd+cmkd"), case) is None
    expected = values(terms(named("fitnet"), case, alone))
    assert values(terms(named("fitnet+cmkd"), case, both)).items() >= expected.items()


@pytest.mark.parametrize("other", ["crd", "cc", "reviewkd", "fitnet"])
@pytest.mark.parametrize("form", ["simkd+{}", "{}+simkd"])
def test_others_read_what_a_deploying_adapter_made_of_the_student(other: str, form: str) -> None:
    """The teacher's pooled features are wider than the student's."""
    case, loss = made(), named(form.format(other))
    module = adapter(loss, case)
    total(loss, case, module).backward()
    assert module is not None
    assert all(p.grad is not None for p in module.parameters())


def test_a_part_without_an_adapter_is_given_none() -> None:
    case = made()
    loss = Sum(losses=(CC(formula="paper"), named("fitnet")))
    alone = values(terms(CC(formula="paper"), case))
    assert values(terms(loss, case)).items() >= alone.items()


def test_a_sum_needs_what_any_part_needs() -> None:
    assert uses_teacher(named("kd+cmkd"))
    assert not uses_features(named("kd+cmkd"))
    assert uses_features(named("kd+fitnet"))
    assert named("kd+mlkd").second_view  # type: ignore[attr-defined]
    assert not uses_teacher(Sum(losses=(CE(), CE(ce_weight=2.0))))


def test_a_sum_survives_its_record() -> None:
    loss = Sum(losses=(named("dkd+ls"), CMKD()))
    assert decode(encode(loss)) == loss


@pytest.mark.parametrize("losses", [(), (KD(),)])
def test_one_loss_is_no_sum(losses: tuple[KD, ...]) -> None:
    with pytest.raises(UserError, match=r"Sum.losses must be two losses or more"):
        Sum(losses=losses)


def test_standardised_logits_reach_every_view_and_nothing_else() -> None:
    case = made()
    seen: list[tuple[Outputs, Outputs]] = []

    class Spy(KD):
        def __call__(self, student, teacher, batch):  # type: ignore[no-untyped-def]
            seen.append((student, teacher))
            return super().__call__(student, teacher, batch)

    from repro.losses import Standardized

    terms(Standardized(loss=Spy()), case)
    student = seen[0][0]
    assert student.second is not None
    for logits in (student.logits, student.second.logits):
        torch.testing.assert_close(logits.std(dim=1), torch.ones(6).double())
    assert student.features is case.student.features
