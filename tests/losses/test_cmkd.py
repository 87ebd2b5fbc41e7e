from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
import torch

from repro.losses import CMKD, L2Rank, SigmoidRank
from repro.outputs import Outputs
from tests.losses import reference
from tests.losses.reference import batch_of, gradient, random_pair, terms
from tests.losses.variants import CMKD_VARIANTS, DIFFICULTIES

every_variant = pytest.mark.parametrize("loss", CMKD_VARIANTS.values(), ids=CMKD_VARIANTS.keys())


@every_variant
@pytest.mark.parametrize("seed", range(2))
def test_cmkd_equals_a_slow_reference(loss: CMKD, seed: int) -> None:
    student, teacher, batch = random_pair(seed=seed)
    expected = reference.cmkd(loss, student.numpy(), teacher.numpy(), batch.labels.numpy())
    assert terms(loss, student, teacher, batch) == pytest.approx(expected, rel=1e-8, abs=1e-9)


@every_variant
def test_a_student_equal_to_the_teacher_has_no_pearson_term(loss: CMKD) -> None:
    _, teacher, batch = random_pair()
    values = terms(loss, teacher, teacher, batch)
    assert values.get("pearson", 0.0) == pytest.approx(0, abs=1e-9)
    alike = loss.teacher_rank == "soft"  # a soft rank correlates with itself, not with the exact
    assert (values.get("spearman", 0.0) == pytest.approx(0, abs=1e-9)) == (
        alike or "spearman" not in values
    )


def test_a_sharp_soft_rank_gives_spearmans_correlation() -> None:
    student, teacher, batch = random_pair()
    for soft_rank in (SigmoidRank(tau=1e-5), L2Rank(eps=1e-5)):
        loss = CMKD(weighting="fixed", spearman_share=1.0, kd_weight=1.0, soft_rank=soft_rank)
        rho = [scipy.stats.spearmanr(s, t).statistic for s, t in zip(student, teacher, strict=True)]
        value = terms(loss, student, teacher, batch)["spearman"]
        assert value == pytest.approx(1 - np.mean(rho), abs=1e-9)


def test_exact_teacher_ranks_survive_a_softmax_that_underflows() -> None:
    """Ten classes far apart: in float32 all but one have probability 0, so would share a rank."""
    student, teacher, batch = random_pair()
    loss = CMKD(standardize=False, rank_input="probabilities", weighting="fixed", kd_weight=1.0)
    expected = terms(loss, student, teacher, batch)["spearman"]
    spread = terms(loss, student.float(), 1e3 * teacher.float(), batch)["spearman"]
    assert spread == pytest.approx(expected, rel=1e-4)


def affine(z: torch.Tensor) -> torch.Tensor:
    """Each row under its own positive affine map."""
    generator = torch.Generator().manual_seed(7)
    scale = 0.5 + 2 * torch.rand(len(z), 1, generator=generator, dtype=z.dtype)
    return scale * z + torch.randn(len(z), 1, generator=generator, dtype=z.dtype)


@every_variant
def test_standardised_terms_ignore_the_scale_of_each_students_logits(loss: CMKD) -> None:
    if loss.difficulty == "student_entropy":
        loss = replace(loss, difficulty="teacher_entropy")  # an entropy depends on the scale
    student, teacher, batch = random_pair()
    before, after = (terms(loss, z, teacher, batch) for z in (student, affine(student)))
    changed = [n for n in before if after[n] != pytest.approx(before[n], rel=1e-5, abs=1e-6)]
    logits_alone = not loss.standardize and loss.pearson_input == "logits"
    if loss.standardize:
        assert changed == ["ce"]
    else:
        assert changed == ["ce", "spearman"] if logits_alone else ["ce", "pearson", "spearman"]


def test_the_trap_l2_ranks_of_probabilities_make_spearman_pearson() -> None:
    trap = replace(CMKD_VARIANTS["affine trap"], weighting="fixed", spearman_share=0.5)
    for seed in range(3):
        student, teacher, batch = random_pair(classes=100, seed=seed)
        values = terms(trap, student, teacher, batch)
        assert values["spearman"] == pytest.approx(values["pearson"], rel=1e-6)
        ranking = terms(CMKD(weighting="fixed"), student, teacher, batch)["spearman"]
        assert ranking != pytest.approx(values["pearson"], rel=0.03)


@pytest.mark.parametrize("kind", DIFFICULTIES)
def test_the_other_way_round_swaps_the_weights(kind: str) -> None:
    loss = CMKD(difficulty=kind)
    student, teacher, batch = (Outputs(z) if i < 2 else z for i, z in enumerate(random_pair()))
    one = loss.diagnostics(student, teacher, batch)
    other = replace(loss, hard_samples_lean_on="pearson").diagnostics(student, teacher, batch)
    assert one["weight/pearson"].item() == pytest.approx(other["weight/spearman"].item())
    assert one["weight/spearman"].item() == pytest.approx(other["weight/pearson"].item())
    assert torch.equal(one["difficulty"], other["difficulty"])


def test_per_sample_weights_are_swapped_too() -> None:
    """Two images, one with each kind of mistake: the direction decides which one counts."""
    _, teacher, _ = random_pair(batch=2, classes=8)
    teacher[0] *= 3  # sure: easy
    teacher[1] *= 0.2
    student = teacher.clone()
    student[1] = -teacher[1]  # only the hard image is wrong
    batch = batch_of(torch.tensor([0, 0]))
    lean = terms(CMKD(), student, teacher, batch)
    reverse = terms(CMKD(hard_samples_lean_on="pearson"), student, teacher, batch)
    assert lean["pearson"] == pytest.approx(0, abs=1e-6)
    assert reverse["pearson"] > 1
    assert lean["spearman"] > reverse["spearman"] + 1


def test_the_batchs_mean_of_the_default_difficulty_is_one_to_one() -> None:
    student, teacher, batch = random_pair()
    mean, fixed = CMKD(weighting="batch_mean"), CMKD(weighting="fixed", spearman_share=0.5)
    assert terms(mean, student, teacher, batch) == pytest.approx(
        terms(fixed, student, teacher, batch), rel=1e-12
    )


@pytest.mark.parametrize("kind", DIFFICULTIES)
def test_the_batchs_mean_keeps_the_mixing_ratio_of_the_dynamic_weights(kind: str) -> None:
    dynamic = CMKD(difficulty=kind)
    student, teacher, batch = random_pair()
    pair = Outputs(student), Outputs(teacher)
    logged = [
        replace(dynamic, weighting=weighting).diagnostics(*pair, batch)["weight/spearman"].item()
        for weighting in ("dynamic", "batch_mean")
    ]
    assert logged[0] == pytest.approx(logged[1])
    values = [
        terms(replace(dynamic, weighting=weighting), student, teacher, batch)["pearson"]
        for weighting in ("dynamic", "batch_mean")
    ]
    assert values[0] != pytest.approx(values[1], rel=1e-3)


def test_a_fixed_share_of_zero_leaves_its_term_out() -> None:
    student, teacher, batch = random_pair()
    names = {
        share: set(terms(CMKD(weighting="fixed", spearman_share=share), student, teacher, batch))
        for share in (0.0, 0.5, 1.0)
    }
    assert names == {
        0.0: {"ce", "pearson"},
        0.5: {"ce", "pearson", "spearman"},
        1.0: {"ce", "spearman"},
    }
    dynamic = CMKD(spearman_share=0.0)  # read by "fixed" only
    assert set(terms(dynamic, student, teacher, batch)) == names[0.5]


def test_weights_of_the_students_entropy_carry_no_gradient() -> None:
    """The gradient is that of fixed weights, image by image."""
    student, teacher, batch = random_pair(batch=4)
    loss = CMKD(difficulty="student_entropy")
    d = reference.difficulty("student_entropy", student.numpy(), teacher.numpy(), batch.labels)
    rows = [
        gradient(
            CMKD(weighting="fixed", spearman_share=d[i]),
            student[i : i + 1],
            teacher[i : i + 1],
            batch_of(batch.labels[i : i + 1]),
        )
        for i in range(4)
    ]
    torch.testing.assert_close(gradient(loss, student, teacher, batch), torch.cat(rows) / 4)


@every_variant
def test_diagnostics_are_the_weights_and_a_histogram(loss: CMKD) -> None:
    student, teacher, batch = random_pair(batch=40)
    student.requires_grad_()
    logged = loss.diagnostics(Outputs(student), Outputs(teacher), batch)
    s, t, labels = student.detach().numpy(), teacher.numpy(), batch.labels.numpy()
    share = reference.shares(loss, s, t, labels).mean()
    assert logged["weight/spearman"].item() == pytest.approx(share)
    assert logged["weight/pearson"].item() == pytest.approx(1 - share)
    d = loss.sample_difficulty(Outputs(student), Outputs(teacher), batch).numpy()
    np.testing.assert_allclose(d, reference.difficulty(loss.difficulty, s, t, labels), atol=1e-10)
    counts, _ = np.histogram(d, bins=20, range=(0, 1))
    assert logged["difficulty"].tolist() == counts.tolist()
    assert not any(value.requires_grad for value in logged.values())
    assert logged["weight/pearson"].ndim == logged["weight/spearman"].ndim == 0


def test_constant_rows_count_as_uncorrelated() -> None:
    _, teacher, batch = random_pair()
    values = terms(CMKD(), torch.ones_like(teacher), teacher, batch)
    assert values["pearson"] == pytest.approx(8 * 0.5)
    assert values["spearman"] == pytest.approx(8 * 0.5)
