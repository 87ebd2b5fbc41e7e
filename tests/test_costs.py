"""Sizes and times of runs: counted by hand, or from the papers' networks."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from paper_tables import compute
from repro.analysis.compute_table import compute_table
from repro.costs import costs_of, sizes_of, times
from repro.grid import Choice, expand
from repro.models import build, count_macs, num_params
from repro.profiles import PROFILES
from repro.records import Record
from repro.spec import Run, key
from tests.analysis.made_up import PROFILE, demo, made_up
from tests.analysis.read_latex import rows_of

PAIR = "resnet32x4:resnet8x4"


def run_of(method: str) -> Run:
    choice = Choice(trials=1, pairs=(PAIR,), methods=(method,))
    runs = expand("cifar-same", PROFILES["paper"], choice)
    return next(run for run in runs if run.method == method)


def test_a_method_without_an_adapter_is_its_network() -> None:
    found = sizes_of(run_of("kd"))
    assert found.parameters == num_params(build("resnet8x4", num_classes=100, seed=0)) == 1_233_540
    assert (found.beside, found.untrained) == (0, 0)
    teacher = run_of("kd").teacher
    assert teacher
    assert sizes_of(teacher).parameters == 7_433_860


def test_fitnet_trains_a_regressor_beside_its_student() -> None:
    run = run_of("fitnet")
    found = sizes_of(run)
    assert found.beside == 128 * 128 + 2 * 128  # a 1 x 1 convolution and a norm
    assert found.untrained == 2 * 128 + 1  # the norm's mean, variance and count
    assert found.parameters == sizes_of(replace(run, trial=3)).parameters == 1_233_540


def test_crd_keeps_a_memory_of_every_training_image() -> None:
    found = sizes_of(run_of("crd"))
    assert found.beside == 2 * (256 * 128 + 128)  # a linear embedding of 256 features on each side
    assert found.untrained >= 2 * 50_000 * 128


def test_simkd_s_projector_stays_with_its_network() -> None:
    found, plain = sizes_of(run_of("simkd")), sizes_of(run_of("kd"))
    inner = 128  # half of the teacher's 256 maps
    layers = 256 * inner + 9 * inner * inner + inner * 256
    norms = 2 * (inner + inner + 256)
    assert found.parameters == plain.parameters + layers + norms
    assert found.beside == 0
    assert found.macs == plain.macs + 8 * 8 * layers + 256 * 100  # maps of 8 x 8, 100 classes


def recorded(folder: Path, run: Run, seconds: list[float], students: int) -> None:
    directory = folder / "records" / key(run)
    directory.mkdir(parents=True)
    lines = [
        {"epoch": e, "seconds": s, "students": students, "metrics": {}}
        for e, s in enumerate(seconds)
    ]
    (directory / "history.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    environment = {"device": "a chip", "threads": 2, "teacher_outputs": "bank"}
    (directory / "environment.json").write_text(json.dumps(environment))


def test_students_share_the_time_of_their_cohort(tmp_path: Path) -> None:
    run = next(run for run in demo(("kd",)) if run.method == "kd")
    recorded(tmp_path, run, [3.0, 5.0], students=4)
    found = times(run, Record(tmp_path / "records" / key(run)))
    assert found["cohort_seconds"] == 8.0
    assert (found["seconds"], found["students"], found["epochs"]) == (2.0, 4, 2)
    assert found["images_per_second"] == pytest.approx(2 * 4 * 1297 / 8)
    assert (found["device"], found["teacher"]) == ("a chip, threads: 2", "bank")


def test_what_was_not_recorded_is_missing(tmp_path: Path) -> None:
    run = next(run for run in demo(("kd",)) if run.method == "teacher")
    found = times(run, Record(tmp_path / "nothing"))
    assert (found["epochs"], found["device"], found["teacher"]) == (0, "", "")
    assert pd.isna(found["seconds"])
    assert pd.isna(found["images_per_second"])


def test_the_table_has_a_row_a_cell_with_teachers_first(tmp_path: Path) -> None:
    runs = demo(("kd", "cmkd"))
    for trial, seconds in enumerate((1.0, 3.0)):
        for run in runs:
            if run.teacher and run.trial == trial:
                recorded(tmp_path, run, [seconds, seconds], students=2)
    table = compute_table(costs_of(made_up(tmp_path, *runs))).set_index("method")
    assert list(table.index) == ["teacher", "kd", "cmkd"]
    row = table.loc["cmkd"]
    assert (row["seconds"], row["seconds_std"]) == pytest.approx((2.0, 2**0.5))
    assert (row["cohort_seconds"], row["n"]) == (4.0, 2)
    assert row["flops"] == 2 * row["macs"]
    assert row["parameters"] == 78_042
    assert table.loc["teacher", "device"] == ""


def test_the_script_writes_every_form_and_says_that_time_is_shared(tmp_path: Path) -> None:
    results = made_up(tmp_path, *demo(("kd", "fitnet")))
    files = compute.write(results, tmp_path)
    assert [path.suffix for path in files] == [".md", ".tex", ".html", ".csv"]
    rows = rows_of(files[1].read_text())
    assert [row[1] for row in rows] == ["method", "teacher", "kd", "fitnet"]
    text = files[0].read_text()
    assert PROFILE.mark in text
    assert "Students of one cohort share" in text
    assert compute.write(made_up(tmp_path), tmp_path) == []


def test_operations_are_those_for_the_datasets_own_images():
    (run,) = expand("demo", PROFILES["demo"], Choice(trials=1, methods=("kd",)))[-1:]
    assert sizes_of(run).macs == pytest.approx(count_macs("resnet8", 10) / 4, rel=0.01)
