"""The commands of a report: followed, they make the runs that it shows, or those that it lacks."""

import shlex
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from repro.analysis.evidence import Evidence
from repro.analysis.judged import Judged
from repro.choice import Choice
from repro.cli import main
from repro.grid import expand
from repro.profiles import PROFILES, Profile
from repro.report.claims import how
from repro.report.commands import command, trainings
from repro.report.sections import again, trials_words
from repro.request import request_of
from repro.results import GridResults
from repro.spec import Run, key
from tests.analysis.test_claims import judge, on_all
from tests.made_results import finished

DEMO = PROFILES["demo"]


def results_of(runs: tuple[Run, ...], grid: str = "demo", profile: Profile = DEMO) -> GridResults:
    table = finished(*runs, grid=grid)
    return GridResults(grid, profile, runs, table, Path("runs"), Path("data"))


def asked(line: str) -> tuple[Run, ...]:
    """The runs that a line trains, by the command line's own options."""
    _, verb, *words = shlex.split(line)
    parent = main.make_context("repro", [verb])  # without, click keeps a command's help without -h
    given = main.commands[verb].make_context(verb, words, parent=parent).params
    left = ("trials", "pairs", "methods", "precision", "held_out", "grid", "profile", "runs_dir")
    _, runs, _ = request_of(**{name: given[name] for name in left}).resolve()
    return runs


CHOSEN = [
    ("demo", "demo", Choice()),
    ("demo", "demo", Choice(trials=7)),
    ("demo", "demo", Choice(trials=3, methods=("kd", "cmkd"))),
    ("demo", "demo", Choice(precision="bf16")),
    ("cifar-same", "paper", Choice(trials=4, pairs=("resnet56:resnet20", "vgg13:vgg8"))),
    ("plug-in", "paper", Choice(methods=("kd",))),
    ("ablation", "paper", Choice(methods=("kd", "cmkd", "cmkd/fixed-half"))),
    ("cifar", "quick", Choice()),
]


@pytest.mark.parametrize(("grid", "profile", "choice"), CHOSEN)
def test_the_runs_of_a_report_are_trained_again_by_one_line(
    grid: str, profile: str, choice: Choice
) -> None:
    runs = expand(grid, PROFILES[profile], choice)
    (line,) = trainings(results_of(runs, grid, PROFILES[profile]))
    assert {key(run) for run in asked(line)} == {key(run) for run in runs}
    if choice == Choice():
        assert line == f"repro run {grid} --profile {profile}"


def test_cells_of_different_trials_have_a_line_each() -> None:
    runs = expand("demo", DEMO, Choice(trials=4))
    some = tuple(run for run in runs if run.method != "cmkd" or run.trial < 2)
    lines = trainings(results_of(some))
    assert len(lines) == 2
    assert {key(run) for line in lines for run in asked(line)} == {key(run) for run in some}


def test_the_trials_that_were_judged_are_told() -> None:
    runs = expand("demo", DEMO, Choice(trials=7))
    results = results_of(runs)
    assert trials_words(Evidence((results,))) == "7 trials"
    few = tuple(run for run in runs if run.method != "cmkd" or run.trial < 2)
    assert trials_words(Evidence((results_of(few),))) == "2 to 7 trials"
    html = again(Evidence((results,)))
    assert "repro run demo --profile demo --trials 7\n" in html
    assert "repro report demo --profile demo\n" in html


def test_a_command_names_the_runs_directory_and_imported_teachers(tmp_path: Path) -> None:
    results = replace(results_of(expand("demo", DEMO)), runs_dir=tmp_path)
    teacher = replace(results.runs[0], weights="0" * 64)
    assert command("figures", results) == f"repro figures demo --profile demo --runs-dir {tmp_path}"
    shown = command("tables", replace(results, runs=(teacher,), table=pd.DataFrame()))
    assert f"--imported {key(teacher)[:12]} " in shown


def inconclusive(missing: str) -> Judged:
    """C4, with other words for what is missing."""

    class Told(Judged):
        @property
        def missing(self) -> str:
            return missing

    means = {"kd": 70.0, "dkd": 70.0, "dist": 70.9, "cmkd": 71.0}
    return Told(**vars(judge(4, on_all(means))))


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("12 trials in all (9 for 80 % power)", "`repro run demo --profile demo --trials 12`"),
        ("12 trials in all, or 30 students", "`repro run demo --profile demo --trials 12`"),
        ("2341 trials in all (900 for 80 % power)", "out of reach"),
        ("inf trials in all", "do not decide it"),
        ("no number of trials decides this; needs 30 students or more", "do not decide it"),
        ("more teachers, not trials", "do not decide it"),
    ],
)
def test_the_command_has_the_number_of_trials_that_decides(missing: str, told: str) -> None:
    found = inconclusive(missing)
    label = replace(found.general, label="inconclusive")
    judged = type(found)(**vars(found) | {"general": label})
    way = how(judged, DEMO, ("demo",))
    assert told in way
    assert ("repro run" in way) == ("--trials" in told)
