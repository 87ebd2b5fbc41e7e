"""Grids: facts times profile; every count here was made by hand."""

from collections import Counter
from dataclasses import replace

import pytest

from repro.grid import GRIDS, Choice, distinct, expand
from repro.losses import CE
from repro.profiles import PROFILES
from repro.spec import Run, key
from tests.grid.narrow import DEMO, PAPER, QUICK

FIVE = Choice(trials=5)


def teachers(runs: tuple[Run, ...]) -> set[str]:
    return {run.network for run in runs if run.teacher is None}


@pytest.mark.parametrize(
    ("grid", "profile", "count"),
    [
        # teachers + pairs x (kd, dkd, dist, cmkd) x trials + students x ce x trials
        ("demo", DEMO, 1 + 1 * 4 * 5 + 1 * 5),
        ("cifar-same", PAPER, 5 + 6 * 4 * 5 + 6 * 5),
        ("cifar-different", PAPER, 4 + 6 * 4 * 5 + 4 * 5),
        ("stronger-teacher", PAPER, 11 + 11 * 4 * 5 + 2 * 5),
        ("ablation", PAPER, 1 + (5 + 23) * 5),
        # 21 pairs (wrn_40_2:wrn_16_2 and resnet56:resnet20 are in two grids), 9 students, and
        # resnet32's baseline of trial 0 is the teacher of resnet20
        ("cifar", PAPER, 11 + 21 * 4 * 5 + 9 * 5 - 1 + 23 * 5),
        ("cifar", QUICK, 1 + 2 * 4 * 5 + 2 * 5),
    ],
)
def test_number_of_runs_with_five_trials(grid: str, profile, count: int) -> None:
    assert len(expand(grid, profile, FIVE)) == count


@pytest.mark.parametrize(("profile", "trials"), [(PAPER, 5), (QUICK, 2), (DEMO, 5)])
def test_default_number_of_trials(profile, trials: int) -> None:
    runs = expand("cifar-same", profile)
    assert {run.trial for run in runs if run.method == "kd"} == set(range(trials))


def test_teachers_of_each_grid() -> None:
    same = {"resnet56", "resnet110", "resnet32x4", "wrn_40_2", "vgg13"}
    assert teachers(expand("cifar-same", PAPER)) == same
    assert teachers(expand("cifar-different", PAPER)) == {
        "vgg13",
        "ResNet50",
        "resnet32x4",
        "wrn_40_2",
    }
    assert teachers(expand("ablation", PAPER)) == {"resnet32x4"}
    more = {"ResNet50", "wrn_28_2", "wrn_16_4", "wrn_28_4", "resnet32", "resnet44"}
    assert teachers(expand("cifar", PAPER)) == same | more


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
@pytest.mark.parametrize("grid", GRIDS)
def test_teachers_come_first_and_no_run_comes_twice(grid: str, profile) -> None:
    profile = DEMO if grid == "demo" else profile
    runs = expand(grid, profile, FIVE)
    assert len({key(run) for run in runs}) == len(runs)
    is_student = [run.teacher is not None for run in runs]
    assert is_student == sorted(is_student)
    of_teachers = {key(run) for run in runs if run.teacher is None}
    assert {key(run.teacher) for run in runs if run.teacher} == of_teachers


@pytest.mark.parametrize("grid", GRIDS)
def test_the_trial_0_of_a_teacher_serves_every_trial(grid: str) -> None:
    runs = expand(grid, DEMO if grid == "demo" else PAPER)
    assert {run.trial for run in runs if run.teacher is None} == {0}
    assert {run.teacher.trial for run in runs if run.teacher} == {0}


def test_cifar_is_the_union_of_its_grids() -> None:
    grids = ("cifar-same", "cifar-different", "stronger-teacher", "ablation")
    parts = {key(run) for grid in grids for run in expand(grid, PAPER)}
    assert {key(run) for run in expand("cifar", PAPER)} == parts
    small = {key(run) for grid in grids[:2] for run in expand(grid, QUICK)}
    assert {key(run) for run in expand("cifar", QUICK)} == small


def test_students_start_equal_and_share_batches() -> None:
    runs = expand("cifar-same", PAPER, Choice(pairs=("vgg13:vgg8",)))
    assert len({(run.stream, run.optim, run.precision) for run in runs}) == 1


def test_a_baseline_that_is_also_a_teacher_is_one_run() -> None:
    same = expand("cifar-same", PAPER)
    baseline = [run for run in same if run.network == "resnet32" and run.method == "ce"]
    assert [run.trial for run in baseline] == [0, 1, 2, 3, 4]
    runs = expand("cifar", PAPER)
    alone = [run for run in runs if run.network == "resnet32" and isinstance(run.loss, CE)]
    assert [(run.method, run.trial) for run in alone] == [
        ("teacher", 0),
        *(("ce", trial) for trial in (1, 2, 3, 4)),
    ]
    assert key(baseline[0]) == key(alone[0])


def test_a_baseline_is_shared_by_the_pairs_of_its_student() -> None:
    runs = expand("cifar-different", PAPER)
    baselines = Counter(run.network for run in runs if run.method == "ce")
    assert baselines == dict.fromkeys(("MobileNetV2", "vgg8", "ShuffleV1", "ShuffleV2"), 5)


def test_distinct_keeps_the_first_of_equal_runs_and_puts_teachers_first() -> None:
    student = expand("demo", DEMO)[-1]
    assert student.teacher
    again = replace(student, method="another name")
    assert distinct([student, again, student.teacher]) == (student.teacher, student)
