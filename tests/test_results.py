"""What tables and figures are made of: the finished runs with the keys of a grid."""

from dataclasses import replace
from typing import Any

import pytest

from repro import results
from repro.grid import DEFAULT_METHODS, Choice, expand
from repro.losses import METHODS
from repro.profiles import Profile
from repro.results import everything
from repro.spec import Precision, key
from repro.variants import CANDIDATES_OF, TUNED, ablation_rows
from tests.made_results import DEMO, PAPER, QUICK, finished, results_of


@pytest.mark.parametrize("grid", ["cifar", "cifar-same", "stronger-teacher", "ablation"])
def test_everything_holds_the_grid_s_own_runs_in_their_order(grid: str) -> None:
    own = expand(grid, QUICK, Choice(trials=3))
    found = everything(grid, QUICK, Choice(trials=3), METHODS)
    assert {key(run) for run in own} < {key(run) for run in found}
    planned = [(run.pair, run.method, run.trial) for run in own if run.teacher]
    cells = [(run.pair, run.method, run.trial) for run in found if run.teacher]
    assert [cell for cell in cells if cell in set(planned)] == planned
    labels = [(key(run), run.pair, run.method) for run in found]
    assert len(set(labels)) == len(labels)


def test_everything_holds_pairs_and_methods_that_were_chosen_by_hand() -> None:
    found = {key(run) for run in everything("cifar-same", QUICK, Choice(trials=2), METHODS)}
    chosen = Choice(pairs=("resnet56:resnet20",), methods=("kd+ls", "ce"), trials=2)
    by_hand = expand("cifar-same", QUICK, chosen)
    assert len(by_hand) == 1 + 2 + 2
    assert {key(run) for run in by_hand} <= found
    assert not {key(run) for run in by_hand} & {key(run) for run in expand("cifar-same", QUICK)}


def test_only_the_ablation_holds_the_rows_of_cmkd() -> None:
    one, trained = Choice(trials=1), ("kd+cmkd", "cmkd/reversed", "teacher")
    methods = {run.method for run in everything("ablation", QUICK, one, trained)}
    assert methods == {"teacher", *DEFAULT_METHODS, *ablation_rows()}
    others = {run.method for run in everything("cifar", QUICK, one, trained)}
    assert "kd+cmkd" in others
    assert not [method for method in others if method.startswith("cmkd/")]


def test_the_tuning_grids_hold_their_three_methods_alone() -> None:
    trained = ("dkd", "kd", "cmkd/reversed", "kd/temperature-1-weight-1.8", "cmkd")
    found = {run.method for run in everything("tuned", QUICK, Choice(trials=1), trained)}
    assert found == {"teacher", *CANDIDATES_OF, *TUNED["quick"]}


def test_a_pair_of_which_a_baseline_alone_is_finished_has_no_row() -> None:
    chosen = Choice(trials=1, pairs=("resnet20:resnet8",), methods=("ce", "kd"))
    table = finished(*expand("stronger-teacher", QUICK, chosen), grid="stronger-teacher")
    shown = results_of("stronger-teacher", QUICK, table)
    assert {run.pair for run in shown.runs if run.teacher} == {"resnet20:resnet8"}
    assert set(shown.table["pair"]) == {run.pair for run in shown.runs}


def test_methods_that_the_suite_no_longer_knows_are_passed_over() -> None:
    gone = ("mine", "", "cmkd/old-row", "kd+mine")
    for grid, known in (("cifar-same", "at"), ("ablation", "cmkd/reversed")):
        trained = (*gone, "teacher", known)
        found = {run.method for run in everything(grid, QUICK, Choice(trials=1), trained)}
        assert known in found
        assert not found & {*gone}


def test_finished_runs_are_found_by_key_whatever_grid_trained_them() -> None:
    runs = expand("cifar-same", QUICK, Choice(trials=1))
    found = results_of("ablation", QUICK, finished(*runs))
    assert {key(run) for run in found.runs} == {key(run) for run in runs}
    assert found.pairs == ["resnet20:resnet8"]
    assert list(found.table["key"]) == [key(run) for run in found.runs]


def test_rows_stand_in_the_order_of_the_grid_with_their_own_numbers() -> None:
    runs = expand("cifar-same", QUICK, Choice(trials=2))
    table = finished(*reversed(runs))
    found = results_of("cifar-same", QUICK, table)
    assert found.runs == runs
    top1 = dict(zip(table["key"], table["top1_last"], strict=True))
    assert list(found.table["top1_last"]) == [top1[key(run)] for run in runs]


def test_a_row_is_labelled_as_the_grid_names_it() -> None:
    """A teacher of one grid is a baseline of another; the tags say what it was trained as."""
    chosen = Choice(pairs=("resnet110:resnet32",), methods=("ce", "kd"), trials=1)
    runs = expand("cifar-same", QUICK, chosen)
    table = finished(*runs)
    as_teacher = (table["student"] == "resnet32") & (table["method"] == "ce")
    table.loc[as_teacher, ["method", "pair"]] = ["teacher", "resnet32"]
    found = results_of("cifar-same", QUICK, table)
    labels = set(zip(found.table["pair"], found.table["method"], strict=True))
    assert labels == {
        ("resnet110", "teacher"),
        ("resnet110:resnet32", "ce"),
        ("resnet110:resnet32", "kd"),
    }


def cells_of_teacher(profile: Profile) -> set[tuple[str, str]]:
    """(pair, method) of a teaching resnet32 that is also a student, of resnet110."""
    pairs = {"cifar-same": (("resnet32", "resnet8"), ("resnet110", "resnet32"))}
    chain = replace(profile, pairs=pairs)
    runs = expand("cifar-same", chain)
    teacher = next(run for run in runs if (run.network, run.method) == ("resnet32", "teacher"))
    found = results_of("cifar-same", chain, finished(teacher))
    return set(zip(found.table["pair"], found.table["method"], strict=True))


def test_a_teacher_is_a_baseline_where_it_trained_alike_and_only_there() -> None:
    alike = cells_of_teacher(replace(QUICK, teacher_epochs=0))
    assert alike == {("resnet32", "teacher"), ("resnet110:resnet32", "ce")}
    assert QUICK.teacher_epochs > QUICK.stream.epochs
    assert cells_of_teacher(QUICK) == {("resnet32", "teacher")}


def test_more_trials_than_the_profile_s_are_found() -> None:
    runs = expand("cifar-same", QUICK, Choice(trials=5))
    found = results_of("cifar-same", QUICK, finished(*runs))
    assert {run.trial for run in found.runs} == {0, 1, 2, 3, 4}


def test_runs_of_another_profile_do_not_count() -> None:
    found = results_of("cifar-same", PAPER, finished(*expand("cifar-same", QUICK)))
    assert found.runs == ()
    assert len(found.table) == 0
    assert found.pairs == []


def test_a_run_that_was_logged_twice_counts_once() -> None:
    runs = expand("cifar-same", QUICK, Choice(trials=1))
    found = results_of("cifar-same", QUICK, finished(*runs, *runs))
    assert len(found.table) == len(runs)


def test_nothing_finished_is_no_results() -> None:
    found = results_of("cifar", QUICK, finished())
    assert (found.runs, found.pairs, found.parts) == ((), [], {})


@pytest.mark.parametrize(
    ("single", "half", "expected"),
    [(11, 0, "fp32"), (0, 11, "bf16"), (3, 11, "bf16"), (11, 3, "fp32"), (5, 5, "fp32")],
)
def test_the_precision_with_the_most_runs_is_shown_alone(
    single: int, half: int, expected: Precision
) -> None:
    in_single, in_half = (expand("demo", DEMO, Choice(precision=p)) for p in ("fp32", "bf16"))
    found = results_of("demo", DEMO, finished(*in_single[:single], *in_half[:half]))
    assert {run.precision for run in found.runs} == {expected}
    assert len(found.runs) == max(single, half)


def test_held_out_runs_are_in_no_table() -> None:
    held_out = expand("demo", DEMO, Choice(split="tune"))
    assert results_of("demo", DEMO, finished(*held_out)).runs == ()


def test_a_union_has_a_part_for_each_grid_with_results() -> None:
    whole = results_of("cifar", QUICK, finished(*expand("cifar", QUICK)))
    assert whole.parts == {
        "cifar-same": ["resnet20:resnet8"],
        "cifar-different": ["resnet20:resnet14"],
    }
    same = results_of("cifar", QUICK, finished(*expand("cifar-same", QUICK)))
    assert list(same.parts) == ["cifar-same"]


def test_a_part_shows_its_own_pairs_then_others_that_finished() -> None:
    chosen = Choice(pairs=("vgg13:vgg8",), methods=("kd",), trials=1)
    runs = (*expand("cifar-same", QUICK), *expand("cifar-same", QUICK, chosen))
    found = results_of("cifar-same", QUICK, finished(*runs))
    assert found.parts == {"cifar-same": ["resnet20:resnet8", "vgg13:vgg8"]}


def test_planned_methods_are_rows_even_before_they_finish() -> None:
    chosen = Choice(methods=("kd+ls", "kd"), trials=1)
    found = results_of("cifar-same", QUICK, finished(*expand("cifar-same", QUICK, chosen)))
    methods = found.methods("cifar-same")
    assert methods == ["teacher", "ce", "kd", "dkd", "dist", "cmkd", "kd+ls"]


def test_a_sweep_shows_no_method_of_one_teacher_alone() -> None:
    """Other grids share that teacher's pair; what two teachers taught is shown."""
    sweep = expand("stronger-teacher", QUICK)
    first, second, *_ = dict.fromkeys(run.pair for run in sweep if run.teacher)
    taught = expand("stronger-teacher", QUICK, Choice(pairs=(first,), methods=("nkd", "ttm")))
    taught += expand("stronger-teacher", QUICK, Choice(pairs=(second,), methods=("ttm",)))
    found = results_of("stronger-teacher", QUICK, finished(*sweep, *taught))
    assert found.methods("stronger-teacher") == ["teacher", *DEFAULT_METHODS, "ttm"]


def test_a_grid_is_expanded_once_for_all_its_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    found = results_of("cifar", QUICK, finished(*expand("cifar", QUICK)))
    asked: list[str] = []
    whole = results.expand
    monkeypatch.setattr(results, "expand", lambda *given: asked.append(given[0]) or whole(*given))
    for _ in range(3):
        for part in found.parts:
            found.methods(part)
    assert asked == ["cifar-same", "cifar-different"]


def test_students_and_teacher_of_a_pair() -> None:
    runs = expand("cifar", QUICK)
    found = results_of("cifar", QUICK, finished(*runs))
    teacher = found.teacher("resnet20:resnet8")
    assert teacher == runs[0]
    methods = [run.method for run in found.students("resnet20:resnet8")]
    assert methods == [m for m in ("ce", "kd", "dkd", "dist", "cmkd") for _ in range(2)]
    first = found.first_trials("resnet20:resnet8")
    assert [(method, run.trial) for method, run in first.items()] == [
        (method, 0) for method in ("ce", "kd", "dkd", "dist", "cmkd")
    ]
    late = [run for run in runs if not (run.method == "kd" and run.trial == 0)]
    first = results_of("cifar", QUICK, finished(*late)).first_trials("resnet20:resnet8")
    assert {method: run.trial for method, run in first.items() if run.trial} == {"kd": 1}
    without = results_of("cifar", QUICK, finished(*runs[1:]))
    assert without.teacher("resnet20:resnet8") is None


def test_only_small_profiles_are_marked() -> None:
    assert results_of("cifar", PAPER, finished()).marks == ()
    assert results_of("cifar", QUICK, finished()).marks == (QUICK.mark,)


def test_a_precision_of_which_nothing_can_be_finished_is_not_expanded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    whole = results.everything

    def watched(grid: str, profile: Profile, choice: Choice, rows: tuple[str, ...]) -> Any:
        asked.append(choice.precision)
        return whole(grid, profile, choice, rows)

    monkeypatch.setattr(results, "everything", watched)
    results_of("demo", DEMO, finished(*expand("demo", DEMO)))
    assert asked == ["fp32"]
    others = expand("demo", DEMO, Choice(precision="bf16"))
    results_of("demo", DEMO, finished(*expand("demo", DEMO), *others))
    assert asked == ["fp32", "fp32", "bf16"]
