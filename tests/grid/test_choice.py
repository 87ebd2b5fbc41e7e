"""Pairs, methods and trials that narrow a grid, and names that are refused."""

import pytest

from repro import paper
from repro.errors import UserError
from repro.grid import DEFAULT_METHODS, Choice, expand
from repro.spec import key
from tests.grid.narrow import DEMO, PAPER, QUICK


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
            Choice(methods=("kd", "atkd")),
            "unknown method 'atkd'; known: ce, kd, dkd, dist, cmkd,",
        ),
        ("demo", Choice(methods=("cmkd/other",)), "unknown variant of cmkd 'cmkd/other'; known:"),
        ("demo", Choice(methods=("ce+ls",)), "method 'ce+ls': every method has its cross-entropy"),
        ("demo", Choice(methods=("kd+at+kd",)), "method 'kd+at+kd' has kd twice"),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(
    grid: str, choice: Choice, message: str
) -> None:
    with pytest.raises(UserError) as caught:
        expand(grid, DEMO if grid == "demo" else PAPER, choice)
    assert str(caught.value).startswith(message)


def test_all_stands_alone() -> None:
    with pytest.raises(UserError, match="--methods all is every method: leave the others out"):
        Choice(methods=("kd", "all"))


@pytest.mark.parametrize("trials", [0, -1])
def test_no_trials_are_refused(trials: int) -> None:
    with pytest.raises(UserError, match=f"--trials must be at least 1, not {trials}"):
        Choice(trials=trials)
