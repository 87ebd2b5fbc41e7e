"""Plans: teachers first, cohorts that share their batches, nothing twice."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.grid import Choice, expand
from repro.losses import CE, KD, named
from repro.models import count_macs
from repro.plan import Cohort, epoch_macs, epochs_left, largest_first, plan
from repro.profiles import PROFILES
from repro.spec import Optim, Run, Stream, key

STREAM, OPTIM = Stream(), Optim()
TEACHER = Run(network="resnet56", loss=CE(), stream=STREAM, optim=OPTIM, method="teacher")


def student(method: str, trial: int = 0, teacher: Run = TEACHER, network: str = "resnet20") -> Run:
    return Run(
        network=network,
        loss=named(method),
        stream=teacher.stream,
        optim=OPTIM,
        teacher=teacher,
        trial=trial,
        precision=teacher.precision,
        method=method,
    )


KD_0, KD_1 = student("kd"), student("kd", 1)
CE_0, DIST_0 = student("ce"), student("dist")


def cohorts(runs, finished=frozenset(), next_epoch=None, max_cohort=8) -> list[list[Cohort]]:
    return [list(w) for w in plan(runs, set(finished), next_epoch or {}, max_cohort)]


def test_teachers_are_a_wave_before_their_students() -> None:
    assert cohorts([KD_0, TEACHER]) == [[Cohort((TEACHER,))], [Cohort((KD_0,))]]


def test_a_student_that_teaches_is_trained_between() -> None:
    middle = KD_0
    last = student("kd", teacher=middle, network="resnet8")
    assert cohorts([last, middle, TEACHER]) == [
        [Cohort((TEACHER,))],
        [Cohort((middle,))],
        [Cohort((last,))],
    ]


def test_a_cohort_is_every_method_of_one_teacher_and_trial() -> None:
    runs = [TEACHER, CE_0, KD_0, KD_1, DIST_0]
    assert cohorts(runs)[1] == [Cohort((CE_0, KD_0, DIST_0)), Cohort((KD_1,))]


@pytest.mark.parametrize(
    "other",
    [
        student("dist", 1),
        student("dist", teacher=replace(TEACHER, network="resnet110")),
        replace(DIST_0, stream=replace(STREAM, split="tune")),
        replace(DIST_0, precision="bf16"),
    ],
    ids=["trial", "teacher", "stream", "precision"],
)
def test_runs_that_differ_in_what_a_cohort_shares_stand_apart(other: Run) -> None:
    assert cohorts([KD_0, other]) == [[Cohort((KD_0,)), Cohort((other,))]]


def test_students_of_several_architectures_share_one_teacher() -> None:
    small = student("kd", network="resnet8")
    assert cohorts([KD_0, small]) == [[Cohort((KD_0, small))]]


def test_finished_runs_are_left_out() -> None:
    assert cohorts([TEACHER, KD_0, KD_1], {key(TEACHER), key(KD_0)}) == [[Cohort((KD_1,))]]
    assert cohorts([TEACHER, KD_0], {key(TEACHER), key(KD_0)}) == []


@pytest.mark.parametrize(
    ("max_cohort", "sizes"),
    [(8, [5]), (5, [5]), (4, [2, 3]), (3, [2, 3]), (2, [1, 2, 2]), (1, [1] * 5)],
)
def test_large_cohorts_are_split_evenly(max_cohort: int, sizes: list[int]) -> None:
    runs = [student(method) for method in ("ce", "kd", "dkd", "dist", "cmkd")]
    (wave,) = cohorts(runs, max_cohort=max_cohort)
    assert [len(cohort.runs) for cohort in wave] == sizes
    assert [run for cohort in wave for run in cohort.runs] == runs


def test_members_at_different_epochs_are_grouped_apart() -> None:
    (wave,) = cohorts([CE_0, KD_0, DIST_0], next_epoch={key(CE_0): 7, key(DIST_0): 7})
    assert wave == [Cohort((CE_0, DIST_0), 7), Cohort((KD_0,), 0)]
    assert [epochs_left(cohort) for cohort in wave] == [233, 240]


def test_a_split_cohort_keeps_its_first_epoch() -> None:
    (wave,) = cohorts([KD_0, DIST_0], next_epoch={key(KD_0): 7, key(DIST_0): 7}, max_cohort=1)
    assert [cohort.first_epoch for cohort in wave] == [7, 7]


def test_a_baseline_is_trained_beside_its_pair_but_needs_no_teacher() -> None:
    (wave,) = cohorts([CE_0, KD_0])
    assert wave == [Cohort((CE_0, KD_0))]
    assert Cohort((CE_0, KD_0)).teacher == TEACHER
    assert Cohort((CE_0,)).teacher is None
    assert Cohort((TEACHER,)).teacher is None


def test_a_label_names_pairs_and_trial() -> None:
    assert Cohort((TEACHER,)).label == "resnet56 trial 0"
    assert Cohort((student("kd", 2), student("dist", 2))).label == "resnet56:resnet20 trial 2"


def test_an_epoch_counts_three_passes_a_student_image_and_one_a_teacher_image() -> None:
    macs = {"resnet20": 10, "resnet56": 100}
    cohort = Cohort((KD_0, DIST_0))
    # 1000 images x (3 x (10 + 10) + 100) + 200 test images x (10 + 10)
    assert epoch_macs(cohort, macs.__getitem__, 1000, 200) == 164_000
    # without a teacher: 1000 x 3 x 10 + 200 x 10
    assert epoch_macs(Cohort((CE_0,)), macs.__getitem__, 1000, 200) == 32_000


def test_a_second_view_doubles_the_images_that_are_learned_from() -> None:
    macs = {"resnet20": 10, "resnet56": 100}
    two = replace(KD_0, stream=replace(KD_0.stream, second_view="strong"))
    assert epoch_macs(Cohort((two,)), macs.__getitem__, 1000, 200) == 2 * 130_000 + 2_000


def test_an_epoch_of_resnet20_is_160000_forward_passes() -> None:
    """40.8 million multiply-accumulates an image (He et al. count 41 M for CIFAR's resnet20)."""
    epoch = epoch_macs(Cohort((replace(CE_0, teacher=None),)), count_macs, 50_000, 10_000)
    assert epoch == pytest.approx(160_000 * 41e6, rel=0.02)


def runs_of_cifar() -> tuple[Run, ...]:
    return expand("cifar-different", PROFILES["paper"], Choice(trials=2))


CIFAR = runs_of_cifar()


@settings(deadline=None)  # a busy machine is no failure
@given(
    done=st.sets(st.sampled_from(range(len(CIFAR)))),
    epochs=st.dictionaries(st.sampled_from(range(len(CIFAR))), st.integers(0, 239)),
    max_cohort=st.integers(1, 9),
)
def test_every_unfinished_run_is_planned_once_and_after_its_teacher(
    done: set[int], epochs: dict[int, int], max_cohort: int
) -> None:
    finished = {key(CIFAR[i]) for i in done}
    next_epoch = {key(CIFAR[i]): epoch for i, epoch in epochs.items()}
    planned: list[str] = []
    for wave in plan(CIFAR, finished, next_epoch, max_cohort):
        before = set(planned)
        for cohort in wave:
            assert 1 <= len(cohort.runs) <= max_cohort
            shared = {(r.stream, r.trial, r.teacher, r.precision) for r in cohort.runs}
            assert len(shared) == 1
            assert {next_epoch.get(key(r), 0) for r in cohort.runs} == {cohort.first_epoch}
            if cohort.teacher and key(cohort.teacher) not in finished:
                assert key(cohort.teacher) in before
            planned += [key(run) for run in cohort.runs]
    assert sorted(planned) == sorted({key(run) for run in CIFAR} - finished)


def test_no_runs_make_no_waves() -> None:
    assert plan([], set(), {}) == ()


def test_at_most_eight_students_share_a_step_unless_told() -> None:
    runs = [replace(KD_0, loss=KD(temperature=t)) for t in range(1, 18)]
    (wave,) = plan(runs, set(), {})
    assert [len(cohort.runs) for cohort in wave] == [5, 6, 6]


def test_the_costliest_cohort_of_a_wave_is_first() -> None:
    waves = plan([TEACHER, KD_0, KD_1, replace(DIST_0, trial=2)], set(), {})
    costs = {(0,): 5.0, (1,): 7.0, (2,): 6.0}
    ordered = largest_first(waves, lambda cohort: costs[tuple({r.trial for r in cohort.runs})])
    assert [[cohort.runs[0].trial for cohort in wave] for wave in ordered] == [[0], [1, 2, 0]]


def test_teachers_of_several_pairs_train_side_by_side() -> None:
    teachers = [replace(TEACHER, network=name) for name in ("resnet56", "wrn_40_2", "vgg13")]
    assert cohorts(teachers) == [[Cohort(tuple(teachers))]]
