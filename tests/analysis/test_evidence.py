"""Claims judged by what grids really hold, however little that is."""

from dataclasses import replace
from pathlib import Path

import pytest

from repro.analysis.claims import judge
from repro.analysis.evidence import Evidence
from repro.spec import Run
from tests.analysis.made_up import demo, made_up
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
