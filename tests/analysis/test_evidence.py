"""Claims judged by what grids really hold, however little that is."""

from dataclasses import replace
from pathlib import Path

import pytest

from repro.analysis.claims import PRIMARY, accuracy, judge, with_diverged
from repro.analysis.evidence import Evidence
from repro.analysis.judged import Judged
from repro.grid import Choice, expand
from repro.records import Status
from repro.spec import Run
from tests.analysis.made_up import CLASSES, PROFILE, demo, made_up
from tests.made_results import finished


def evidence_of(folder: Path, runs: tuple[Run, ...]) -> Evidence:
    rows = finished(*runs, grid="demo").assign(dataset="digits", top1_best=60.0)
    return Evidence((replace(made_up(folder, *runs), table=rows),))


@pytest.mark.parametrize("methods", [("dkd", "dist"), ("ce",), ("kd",), ("ce", "cmkd")])
def test_claims_without_their_arms_are_not_run(tmp_path: Path, methods: tuple[str, ...]) -> None:
    found = judge(evidence_of(tmp_path, demo(methods)))
    assert {one.slug for one in found} == {"not-run"}


def test_claims_without_a_finished_teacher_are_not_run(tmp_path: Path) -> None:
    students = tuple(run for run in demo(("kd", "cmkd")) if run.method != "teacher")
    assert {one.slug for one in judge(evidence_of(tmp_path, students))} == {"not-run"}


def with_failures(folder: Path, *failed: tuple[str, int, str]) -> Evidence:
    """Five trials of KD, CMKD, DKD and DIST with CMKD ahead; (method, trial, reason) failed."""
    chosen = Choice(trials=5, methods=("kd", "dkd", "dist", "cmkd"))
    runs = expand("demo", PROFILE, chosen)
    reasons = {(method, trial): reason for method, trial, reason in failed}
    results = made_up(folder, *(r for r in runs if (r.method, r.trial) not in reasons))
    for run in runs:
        if reason := reasons.get((run.method, run.trial)):
            results.record(run).create(run, {})
            results.record(run).write_status(Status("FAILED", 1, 2, reason))
    rows = finished(*results.runs, grid="demo").assign(dataset="digits")
    top1 = 60 + 3.0 * (rows["method"] == "cmkd") + 0.01 * (rows["top1_last"] % 7)
    return Evidence((replace(results, table=rows.assign(top1_last10=top1, top1_best=top1)),))


def test_a_teacher_is_as_strong_as_the_weights_that_taught(tmp_path: Path) -> None:
    runs = demo(("kd", "cmkd"))
    rows = finished(*runs, grid="demo").assign(top1_last=50.0, top1_last10=40.0, top1_best=60.0)
    evidence = Evidence((replace(made_up(tmp_path, *runs), table=rows),))
    assert evidence.teacher_top1 == {"resnet14": 50.0}


DIVERGED = "train/kd is not finite at epoch 3"


def accuracy_claim(evidence: Evidence) -> Judged:
    return with_diverged(accuracy(evidence, PRIMARY), accuracy, evidence)


def test_a_diverged_run_counts_with_the_accuracy_of_chance(tmp_path: Path) -> None:
    evidence = with_failures(tmp_path, ("cmkd", 1, DIVERGED))
    assert accuracy_claim(evidence.without_diverged).slug == "supported"
    (trials,) = evidence.top1(("demo",), PRIMARY, ("kd", "cmkd")).values()
    assert trials["cmkd"][1] == pytest.approx(100 / len(CLASSES))
    assert list(trials.index) == [0, 1, 2, 3, 4]
    found = accuracy_claim(evidence)
    assert found.slug == "inconclusive"
    assert found.these.estimate.counts.trials == 5
    (note,) = found.notes
    assert "cmkd trial 1): supported, +3" in note
    (told,) = evidence.failed
    assert told.startswith("1 run diverged; their top-1 counts as chance")


def test_a_method_that_diverged_in_every_trial_is_as_good_as_chance(tmp_path: Path) -> None:
    evidence = with_failures(tmp_path, *(("dist", trial, DIVERGED) for trial in range(5)))
    found = accuracy_claim(evidence)
    assert found.slug == "supported"
    assert "not run (dist)" in found.notes[0]


def test_a_run_that_failed_otherwise_only_loses_its_trial(tmp_path: Path) -> None:
    evidence = with_failures(tmp_path, ("cmkd", 1, "the machine broke"))
    found = accuracy_claim(evidence)
    assert (found.slug, found.these.estimate.counts.trials, found.notes) == ("supported", 4, ())
    (told,) = evidence.failed
    assert told == (
        "1 run failed otherwise; their trials count for no method: "
        "resnet14:resnet8 cmkd trial 1 (the machine broke)"
    )
