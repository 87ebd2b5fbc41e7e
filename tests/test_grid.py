"""Grids: facts times profile; every count here was made by hand."""

from collections import Counter
from dataclasses import replace

import pytest

from repro import paper
from repro.errors import UserError
from repro.grid import (
    DEFAULT_METHODS,
    GRIDS,
    Choice,
    ablation_rows,
    cmkd_reading,
    distinct,
    expand,
    loss_for,
)
from repro.losses import CE, CMKD, DIST, DKD, KD, L2Rank, Standardized
from repro.profiles import PROFILES
from repro.spec import Run, key

PAPER, DEMO = PROFILES["paper"], PROFILES["demo"]
QUICK = replace(
    PROFILES["quick"],
    pairs={
        "cifar-same": (("resnet20", "resnet8"),),
        "cifar-different": (("resnet20", "MobileNetV2"),),
    },
    union=("cifar-same", "cifar-different"),
)
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


@pytest.mark.parametrize(("profile", "trials"), [(PAPER, 5), (QUICK, 2), (DEMO, 2)])
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


def test_the_ablation_holds_every_alternative() -> None:
    """Each as the change to our reading that its name says."""
    changes = {
        "pearson-only": {"weighting": "fixed", "spearman_share": 0.0},
        "spearman-only": {"weighting": "fixed", "spearman_share": 1.0},
        "fixed-half": {"weighting": "fixed", "spearman_share": 0.5},
        "reversed": {"hard_samples_lean_on": "pearson"},
        "raw-logits": {"standardize": False},
        "temperature-4": {"temperature": 4.0},
        "weight-2": {"kd_weight": 2.0},
        "pearson-on-logits": {"pearson_input": "logits"},
        "with-intra-class": {"intra_class": True},
        "soft-teacher-rank": {"teacher_rank": "soft"},
        "l2-rank-0.1": {"soft_rank": L2Rank(eps=0.1)},
        "l2-rank-1": {"soft_rank": L2Rank(eps=1.0)},
        "l2-rank-0.1-soft-teacher": {"soft_rank": L2Rank(eps=0.1), "teacher_rank": "soft"},
        "l2-rank-1-soft-teacher": {"soft_rank": L2Rank(eps=1.0), "teacher_rank": "soft"},
        "l2-on-probabilities": {
            "soft_rank": L2Rank(eps=1.0),
            "teacher_rank": "soft",
            "rank_input": "probabilities",
        },
    }
    for other in (
        "teacher_entropy",
        "label_probability",
        "teacher_cross_entropy",
        "student_entropy",
    ):
        name = other.replace("_", "-")
        changes[name] = {"difficulty": other}
        changes[f"{name}-batch-mean"] = {"difficulty": other, "weighting": "batch_mean"}
    expected = {f"cmkd/{name}": CMKD(**fields) for name, fields in changes.items()}
    assert ablation_rows() == expected
    runs = expand("ablation", PAPER)
    found = {run.method: run.loss for run in runs if run.teacher}
    assert found == expected | {
        "ce": CE(),
        "kd": KD(),
        "dkd": DKD(),
        "dist": DIST(),
        "cmkd": CMKD(),
    }
    assert {run.pair for run in runs if run.teacher} == {"resnet32x4:resnet8x4"}


def test_dkd_takes_the_beta_of_its_pair_and_the_scaled_warm_up() -> None:
    pair = ("resnet56", "resnet20")
    assert loss_for("dkd", pair, PAPER) == DKD(beta=2.0, warmup_epochs=20)
    assert loss_for("dkd", pair, DEMO) == DKD(beta=2.0, warmup_epochs=1)
    assert loss_for("dkd", ("vgg13", "vgg8"), PAPER).beta == 6.0  # type: ignore[attr-defined]
    runs = expand("cifar-same", PAPER, Choice(methods=("dkd",), trials=1))
    betas = {run.pair: run.loss.beta for run in runs if run.teacher}
    assert betas == {
        "resnet56:resnet20": 2.0,
        "resnet110:resnet32": 2.0,
        "resnet32x4:resnet8x4": 8.0,
        "wrn_40_2:wrn_16_2": 6.0,
        "wrn_40_2:wrn_40_1": 6.0,
        "vgg13:vgg8": 6.0,
    }


def test_standardised_dkd_weighs_both_terms_nine_times() -> None:
    loss = loss_for("dkd+ls", ("resnet56", "resnet20"), PAPER)
    assert loss == Standardized(loss=DKD(alpha=9.0, beta=18.0, warmup_epochs=20))


def test_standardised_kd_takes_the_published_temperature_and_weight() -> None:
    loss = loss_for("kd+ls", paper.ABLATION_PAIR, PAPER)
    assert loss == Standardized(loss=KD(temperature=2.0, kd_weight=9.0, ce_weight=0.1))


def test_the_cmkd_of_a_grid_is_our_reading() -> None:
    losses = {run.loss for run in expand("cifar-same", PAPER) if run.method == "cmkd"}
    assert losses == {cmkd_reading()}


def test_light_students_learn_at_a_hundredth() -> None:
    rates = {run.network: run.optim.lr for run in expand("cifar-different", PAPER)}
    light = {"MobileNetV2", "ShuffleV1", "ShuffleV2"}
    assert {network for network, lr in rates.items() if lr == 0.01} == light
    assert {lr for network, lr in rates.items() if network not in light} == {0.05}


def test_pairs_methods_and_trials_narrow_a_grid() -> None:
    choice = Choice(pairs=("vgg13:vgg8",), methods=("kd", "ce"), trials=2)
    runs = expand("cifar-same", PAPER, choice)
    assert [(run.pair, run.method, run.trial) for run in runs] == [
        ("vgg13", "teacher", 0),
        ("vgg13:vgg8", "kd", 0),
        ("vgg13:vgg8", "kd", 1),
        ("vgg13:vgg8", "ce", 0),
        ("vgg13:vgg8", "ce", 1),
    ]


@pytest.mark.parametrize("grid", ["cifar-same", "cifar", "stronger-teacher"])
def test_a_narrowed_grid_has_the_keys_of_the_whole(grid: str) -> None:
    choice = Choice(pairs=("wrn_40_2:wrn_16_2",), trials=2)
    whole = {key(run) for run in expand(grid, PAPER)}
    narrow = {key(run) for run in expand(grid, PAPER, choice)}
    assert narrow < whole
    assert len(narrow) == 1 + 5 * 2


def test_runs_are_ordered_by_pair_then_method_then_trial() -> None:
    runs = [run for run in expand("cifar-same", PAPER) if run.teacher]
    pairs = [f"{teacher}:{student}" for teacher, student in paper.SAME_ARCHITECTURE]
    place = {name: i for i, name in enumerate((*pairs, *DEFAULT_METHODS))}
    order = [(place[run.pair], place[run.method], run.trial) for run in runs]
    assert order == sorted(order)


def test_chosen_pairs_keep_the_order_of_the_choice_and_count_once() -> None:
    chosen = ("vgg13:vgg8", "resnet56:resnet20", "vgg13:vgg8")
    runs = expand("cifar-same", PAPER, Choice(pairs=chosen, methods=("kd",), trials=1))
    assert [run.pair for run in runs] == ["vgg13", "resnet56", "vgg13:vgg8", "resnet56:resnet20"]


def test_the_paper_s_pairs_can_be_chosen_under_a_small_profile() -> None:
    runs = expand("cifar-same", QUICK, Choice(pairs=("resnet56:resnet20",)))
    assert {run.pair for run in runs} == {"resnet56", "resnet56:resnet20"}
    assert {run.stream for run in runs if run.teacher} == {QUICK.stream}
    assert {run.stream for run in runs if not run.teacher} == {QUICK.teacher_stream()}


def test_a_baseline_alone_needs_no_teacher() -> None:
    runs = expand("cifar-same", PAPER, Choice(methods=("ce",), pairs=("vgg13:vgg8",)))
    assert [run.method for run in runs] == ["ce"] * 5


def test_precision_and_split_reach_teachers_and_students() -> None:
    runs = expand("demo", DEMO, Choice(precision="bf16", split="tune"))
    assert {(run.precision, run.stream.split) for run in runs} == {("bf16", "tune")}
    assert not {key(run) for run in runs} & {key(run) for run in expand("demo", DEMO)}


@pytest.mark.parametrize(
    ("grid", "choice", "message"),
    [
        ("cifar10", Choice(), "unknown grid 'cifar10'; known: demo, cifar, cifar-same"),
        (
            "cifar-same",
            Choice(pairs=("vgg13:MobileNetV2",)),
            "unknown pair of grid cifar-same 'vgg13:MobileNetV2'; known: resnet56:resnet20",
        ),
        ("cifar", Choice(pairs=("vgg8:vgg13",)), "unknown pair of grid cifar 'vgg8:vgg13'; known:"),
        ("demo", Choice(pairs=("resnet8",)), "unknown pair of grid demo 'resnet8'; known:"),
        (
            "demo",
            Choice(methods=("kd", "at")),
            "unknown method 'at'; known: ce, kd, dkd, dist, cmkd,",
        ),
        ("demo", Choice(methods=("cmkd/other",)), "unknown method 'cmkd/other'; known:"),
        ("demo", Choice(methods=("ce+ls",)), "unknown method 'ce+ls'; known:"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(
    grid: str, choice: Choice, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        expand(grid, DEMO if grid == "demo" else PAPER, choice)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("trials", [0, -1])
def test_no_trials_are_refused(trials: int) -> None:
    with pytest.raises(UserError, match=f"--trials must be at least 1, not {trials}"):
        Choice(trials=trials)
