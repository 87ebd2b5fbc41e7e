"""How often a teacher would run, when a bank of its logits is less work, and the estimate."""

from dataclasses import dataclass, replace

import pytest
from torch import Tensor

from repro.data.sizes import images_of
from repro.estimate import estimate_seconds, estimates
from repro.grid import expand
from repro.losses import CE, KD, Standardized, named
from repro.models import count_macs
from repro.outputs import Batch, Outputs
from repro.plan import (
    BANK_MARGIN_PASSES,
    Cohort,
    TeacherUse,
    bank_pays,
    plan,
    teacher_passes,
    teacher_use,
)
from repro.profiles import PROFILES
from repro.spec import Optim, Run, Stream, key, uses_features

STREAM = Stream(epochs=100)
TEACHER = Run(network="resnet56", loss=CE(), stream=STREAM, optim=Optim(), method="teacher")


@dataclass(frozen=True, kw_only=True)
class Hint:
    uses_features = True
    ce_weight: float = 1.0

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        raise NotImplementedError


def student(method: str = "kd", **changes: object) -> Run:
    run = Run(
        network="resnet20",
        loss=named(method),
        stream=STREAM,
        optim=Optim(),
        teacher=TEACHER,
        method=method,
    )
    return replace(run, **changes)


def only(passes: dict[TeacherUse, int]) -> int:
    (count,) = passes.values()
    return count


def test_a_pass_is_an_epoch_that_is_left_of_a_cohort_whatever_its_size() -> None:
    one, three = Cohort((student(),)), Cohort((student(), student("dist"), student("ce")), 40)
    assert only(teacher_passes([(one,)])) == 100
    assert only(teacher_passes([(Cohort((TEACHER,)),), (one, three)])) == 160
    (use,) = teacher_passes([(one, three)])
    assert use.teacher == key(TEACHER)
    assert use.augment == "crop-flip"


def test_who_uses_no_teacher_or_its_features_counts_no_pass() -> None:
    hint = student(loss=Hint())
    for cohort in (Cohort((TEACHER,)), Cohort((student("ce"),)), Cohort((student(), hint))):
        assert teacher_use(cohort) is None
    assert teacher_passes([(Cohort((hint,)), Cohort((student(),)))]) == {
        teacher_use(Cohort((student(),))): 100
    }
    assert teacher_passes([]) == {}


@pytest.mark.parametrize(
    "changes",
    [
        {"trial": 3},
        {"network": "resnet8"},
        {"loss": KD(temperature=2.0)},
        {"stream": replace(STREAM, batch_size=128)},
        {"stream": replace(STREAM, epochs=7)},
        {"stream": replace(STREAM, test_per_class=5)},
    ],
)
def test_one_bank_serves_whoever_sees_the_same_images(changes: dict[str, object]) -> None:
    assert teacher_use(Cohort((student(**changes),))) == teacher_use(Cohort((student(),)))


@pytest.mark.parametrize(
    "changes",
    [
        {"teacher": replace(TEACHER, trial=1)},
        {"precision": "bf16"},
        {"stream": replace(STREAM, augment="crop")},
        {"stream": replace(STREAM, split="tune")},
        {"stream": replace(STREAM, train_per_class=80)},
    ],
)
def test_another_teacher_precision_or_set_of_images_has_another_bank(
    changes: dict[str, object],
) -> None:
    passes = teacher_passes([(Cohort((student(),)), Cohort((student(**changes),)))])
    assert list(passes.values()) == [100, 100]


@pytest.mark.parametrize(
    ("passes", "missing", "pays"),
    [
        (162 + BANK_MARGIN_PASSES, 162, False),
        (162 + BANK_MARGIN_PASSES + 1, 162, True),
        (20, 162, False),
        (20, 20 - BANK_MARGIN_PASSES, False),
        (20, 20 - BANK_MARGIN_PASSES - 1, True),  # most of the views are there
        (1, 0, True),
        (0, 0, False),
    ],
)
def test_a_bank_pays_where_its_missing_views_are_clearly_fewer_passes(
    passes: int, missing: int, pays: bool
) -> None:
    assert bank_pays(passes, missing) is pays


@pytest.mark.parametrize(
    ("grid", "profile", "views", "pays"),
    [
        ("cifar", "paper", 162, {True}),
        ("cifar", "quick", 162, {False}),
        ("demo", "demo", 81, {False}),
        ("ablation", "demo", 81, {True}),  # four cohorts a trial
    ],
)
def test_every_bank_of_the_papers_grid_pays_and_none_of_the_small_ones(
    grid: str, profile: str, views: int, pays: set[bool]
) -> None:
    passes = teacher_passes(plan(expand(grid, PROFILES[profile]), set(), {}))
    assert passes
    assert {bank_pays(count, views) for count in passes.values()} == pays


def test_no_loss_of_the_suite_needs_features_and_the_plug_in_asks_the_inner_one() -> None:
    assert not any(uses_features(named(method)) for method in ("ce", "kd", "dkd", "dist", "cmkd"))
    assert not uses_features(Standardized())
    assert uses_features(Hint())
    assert uses_features(Standardized(loss=Hint()))


def test_an_estimate_counts_the_bank_once_and_then_no_teacher() -> None:
    cohorts = [Cohort((student(trial=trial), student("ce", trial=trial))) for trial in range(3)]
    images, evaluated = images_of(STREAM)
    small, large = count_macs("resnet20"), count_macs("resnet56")
    students = 100 * 2 * (3 * images + evaluated) * small
    found = [seconds for *_, seconds in estimates([tuple(cohorts)], 1e9, "auto")]
    bank = 162 * images * large
    assert found == pytest.approx([(students + bank) / 1e9, students / 1e9, students / 1e9])
    live = [seconds for *_, seconds in estimates([tuple(cohorts)], 1e9, "live")]
    assert live == pytest.approx([(students + 100 * images * large) / 1e9] * 3)
    assert live == [estimate_seconds(cohort, 1e9) for cohort in cohorts]


def test_digits_cost_what_their_smaller_images_cost() -> None:
    stream = replace(STREAM, dataset="digits", augment="crop")
    run = replace(TEACHER, stream=stream, network="resnet20")
    images, evaluated = images_of(stream)
    macs = stream.epochs * (3 * images + evaluated) * count_macs("resnet20", side=16)
    assert estimate_seconds(Cohort((run,)), 1e9) == pytest.approx(macs / 1e9)


def test_an_estimate_decides_as_training_does() -> None:
    cohort = Cohort((student(),))  # 100 passes: a bank does not pay
    auto, live, bank = (
        next(estimates([(cohort,)], 1e9, choice))[2] for choice in ("auto", "live", "bank")
    )
    assert auto == live < bank
    teacher = list(estimates([(Cohort((TEACHER,)),)], 1e9, "bank"))
    assert teacher == [(0, Cohort((TEACHER,)), estimate_seconds(Cohort((TEACHER,)), 1e9))]
