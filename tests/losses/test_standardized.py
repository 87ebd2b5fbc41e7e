import pytest
import torch

from repro.losses import CE, CMKD, DIST, DKD, KD, Loss, Standardized, named, standardize
from repro.outputs import Outputs
from tests.losses.reference import cross_entropy, random_pair, standard, terms
from tests.losses.test_cmkd import affine

INNER: list[Loss] = [KD(), KD(temperature=2.0, kd_weight=9.0), DKD(), DIST(), CMKD()]


@pytest.mark.parametrize("inner", INNER, ids=repr)
def test_the_inner_loss_sees_standardised_logits_and_cross_entropy_the_raw_ones(
    inner: Loss,
) -> None:
    student, teacher, batch = random_pair()
    z_s, z_t = (torch.tensor(standard(z.numpy())) for z in (student, teacher))
    ce = cross_entropy(student.numpy(), batch.labels.numpy())
    expected = terms(inner, z_s, z_t, batch) | {"ce": inner.ce_weight * ce}
    assert terms(Standardized(loss=inner), student, teacher, batch) == pytest.approx(
        expected, rel=1e-9, abs=1e-9
    )


@pytest.mark.parametrize("method", ["kd+ls", "dkd+ls", "dist+ls"])
def test_only_cross_entropy_depends_on_the_scale_of_each_students_logits(method: str) -> None:
    student, teacher, batch = random_pair()
    before, after = (terms(named(method), z, teacher, batch) for z in (student, affine(student)))
    assert before.pop("ce") != pytest.approx(after.pop("ce"), rel=1e-3)
    inner_before = terms(named(method).loss, student, teacher, batch)  # type: ignore[attr-defined]
    inner_after = terms(named(method).loss, affine(student), teacher, batch)  # type: ignore[attr-defined]
    for name, value in before.items():
        assert after[name] == pytest.approx(value, rel=1e-5)
        assert inner_after[name] != pytest.approx(inner_before[name], rel=1e-3)


def test_the_published_hyper_parameters() -> None:
    assert named("kd+ls") == Standardized() == standardize(KD())
    assert named("kd+ls").loss == KD(temperature=2.0, kd_weight=9.0, ce_weight=0.1)  # type: ignore[attr-defined]
    assert named("dkd+ls").loss == DKD(alpha=9.0, beta=72.0, temperature=2.0)  # type: ignore[attr-defined]
    assert named("dist+ls").loss == DIST()  # type: ignore[attr-defined]


def test_the_warm_up_passes_through() -> None:
    loss = Standardized(loss=DKD())
    assert loss.at_epoch(9) == Standardized(loss=DKD(alpha=0.5, beta=4.0, warmup_epochs=0))
    assert Standardized().at_epoch(0) == Standardized()


def test_diagnostics_pass_through() -> None:
    student, teacher, batch = random_pair()
    z_s, z_t = (Outputs(torch.tensor(standard(z.numpy()))) for z in (student, teacher))
    loss = CMKD(difficulty="teacher_entropy")
    ours = Standardized(loss=loss).diagnostics(Outputs(student), Outputs(teacher), batch)
    expected = loss.diagnostics(z_s, z_t, batch)
    torch.testing.assert_close(ours, expected)
    assert Standardized().diagnostics(Outputs(student), Outputs(teacher), batch) == {}


def test_the_weight_and_the_need_of_a_teacher_are_those_of_the_inner_loss() -> None:
    assert Standardized(loss=DKD(ce_weight=0.7)).ce_weight == 0.7
    assert Standardized().uses_teacher
    assert not Standardized(loss=CE()).uses_teacher
