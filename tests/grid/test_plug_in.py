"""Grid plug-in: every method alone, with CMKD's terms, and with DIST's."""

from repro import paper
from repro.grid import Choice, expand, loss_for
from repro.losses import CMKD, DIST, METHODS, Sum
from repro.spec import key
from tests.grid.narrow import DEMO, PAPER, QUICK


def test_each_method_stands_alone_and_with_both_plug_ins() -> None:
    methods = {run.method for run in expand("plug-in", PAPER) if run.teacher}
    sums = {f"{x}+{plug}" for x in paper.PLUG_IN_METHODS.value for plug in ("cmkd", "dist")}
    assert methods == {"ce", "cmkd", "dist", *paper.PLUG_IN_METHODS.value, *sums}
    assert len(paper.PLUG_IN_METHODS.value) == 5


def test_the_plug_ins_are_our_reading_and_the_published_dist() -> None:
    pair = paper.ABLATION_PAIR
    for method in paper.PLUG_IN_METHODS.value:
        for plug, cls in (("cmkd", CMKD), ("dist", DIST)):
            loss = loss_for(f"{method}+{plug}", pair, PAPER)
            assert isinstance(loss, Sum)
            assert loss.losses == (loss_for(method, pair, PAPER), loss_for(plug, pair, PAPER))
            assert type(loss.losses[1]) is cls


def test_a_chosen_method_comes_with_its_sums() -> None:
    runs = expand("plug-in", DEMO, Choice(methods=("at",), trials=1))
    found = [run.method for run in runs if run.teacher]
    assert found == ["ce", "cmkd", "dist", "at", "at+cmkd", "at+dist"]
    runs = expand("plug-in", DEMO, Choice(methods=("kd+cmkd", "dist"), trials=1))
    assert [run.method for run in runs if run.teacher] == ["ce", "cmkd", "dist", "kd+cmkd"]


def test_all_methods_are_plugged_into() -> None:
    methods = {run.method for run in expand("plug-in", DEMO, Choice(methods=("all",), trials=1))}
    assert {*METHODS, "kd+ls+cmkd", "vid+dist", "teacher"} <= methods
    assert not methods & {"ce+cmkd", "cmkd+dist", "dist+cmkd", "cmkd+cmkd"}


def test_what_other_grids_train_is_not_trained_again() -> None:
    mine = {key(run) for run in expand("plug-in", QUICK)}
    others = {key(run) for run in expand("cifar-same", QUICK)}
    assert len(mine & others) == len(others)


def test_a_loss_with_a_second_view_has_a_stream_of_its_own() -> None:
    runs = expand("demo", DEMO, Choice(methods=("kd", "mlkd", "mlkd+cmkd"), trials=1))
    views = {run.method: run.stream.second_view for run in runs}
    assert views == {"teacher": "none", "kd": "none", "mlkd": "strong", "mlkd+cmkd": "strong"}
