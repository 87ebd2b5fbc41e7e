"""What is left to do: plans, finished and failed runs, the estimate."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from repro import estimate, planned
from repro.records import Records
from tests.cli.invoke import DEMO, EPOCHS, begin, files, repro


def test_a_plan_writes_nothing_and_says_what_would_run(elsewhere: Path) -> None:
    result = repro("plan", "demo", "--runs-dir", elsewhere)
    assert result.exit_code == 0
    assert "grid demo, profile demo: 26 runs: 26 new" in result.output
    rows = [line for line in result.output.splitlines() if DEMO[0].network in line]
    assert [row.split("│")[1].strip() for row in rows] == ["0", "1", "1", "1", "1", "1"]
    assert "ce kd dkd dist cmkd" in rows[1]
    assert "assumed, nothing measured here yet" in result.output
    assert not elsewhere.exists()


def test_a_plan_counts_epochs_that_are_left(tmp_path: Path) -> None:
    begin(DEMO[0], tmp_path, epochs=2)
    result = repro("plan", "demo", "--runs-dir", tmp_path)
    assert "1 STOPPED, 25 new" in " ".join(result.output.split())
    teacher_row = next(line for line in result.output.splitlines() if "teacher" in line)
    assert teacher_row.split("│")[4].strip() == str(EPOCHS - 2)


def test_a_finished_grid_trains_nothing(tmp_path: Path) -> None:
    for run in DEMO:
        begin(run, tmp_path, "FINISHED")
    before = files(tmp_path)
    result = repro("run", "demo", "--runs-dir", tmp_path)
    assert (result.exit_code, result.output) == (
        0,
        "grid demo, profile demo: 26 runs, 26 finished\n",
    )
    assert files(tmp_path) == before


def test_a_recorded_grid_trains_nothing(tmp_path: Path) -> None:
    for run in DEMO:
        begin(run, tmp_path, "FINISHED")
    (tmp_path / "records").rename(tmp_path / "recorded")
    result = repro("run", "demo", "--runs-dir", tmp_path)
    assert (result.exit_code, "26 finished" in result.output) == (0, True)


def test_failed_runs_are_told_with_reason_and_way_out(tmp_path: Path) -> None:
    for run in DEMO[:-1]:
        begin(run, tmp_path, "FINISHED")
    record = begin(DEMO[-1], tmp_path, "FAILED")
    result = repro("run", "demo", "--runs-dir", tmp_path)
    assert result.exit_code == 1
    last = result.output.splitlines()[-1]
    expected = "failed: resnet14:resnet8 cmkd trial 4: as asked; "
    assert last == f"{expected}remove {record.directory} to try it again"


def test_the_estimate_uses_the_speed_recorded_on_this_machine(tmp_path: Path) -> None:
    assert estimate.machine_speed(Records(tmp_path), torch.device("cpu")) is None
    device = planned.device_name(torch.device("cpu"))
    for trial, speed in enumerate((1e9, 5e9, 2e9)):
        record = begin(replace(DEMO[0], trial=trial), tmp_path, epochs=0)
        record.write_json("environment.json", {"device": device})
        record.append({"epoch": 0, "metrics": {}, "macs_per_second": speed})
    other = begin(replace(DEMO[0], trial=3), tmp_path, epochs=0)
    other.write_json("environment.json", {"device": "another"})
    other.append({"epoch": 0, "metrics": {}, "macs_per_second": 9e9})
    assert estimate.machine_speed(Records(tmp_path), torch.device("cpu")) == 2e9


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89.4, "89 s"), (90, "2 min"), (3600, "60 min"), (5400, "1.5 h")],
)
def test_times_are_told_in_the_unit_that_fits(seconds: float, text: str) -> None:
    assert planned.clock(seconds) == text
