"""A grid is trained to its end, or as far as the time allows."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from repro import filled, launch, limits
from repro.errors import UserError
from repro.grid import Choice
from repro.records import Records
from repro.spec import key
from repro.tracking import load_results, sync_records
from tests import tiny
from tests.launch.demo_grid import GRID, Ran, count_ticks, epochs, run_demo, states


def test_a_grid_is_trained_to_its_end(demo: tuple[Path, Ran]) -> None:
    directory, ran = demo
    assert ran.code == 0
    assert [run.method for run in GRID] == ["teacher", *tiny.METHODS]
    assert states(directory) == ["FINISHED"] * 6
    assert epochs(directory) == [3] * 6
    assert "grid demo, profile demo: 6 runs, 0 finished" in ran.output
    assert "[2/2] resnet14:resnet8 trial 0: ce kd dkd dist cmkd" in ran.output


def test_every_run_of_a_grid_is_in_mlflow(demo: tuple[Path, Ran]) -> None:
    results = load_results(demo[0]).set_index("key")
    assert set(results.index) == {key(run) for run in GRID}
    for run in GRID:
        status = tiny.record(run, demo[0]).status()
        assert status is not None
        assert results.loc[key(run), "top1_last"] == dict(status.final)["final/top1_last"]
        assert results.loc[key(run), "method"] == run.method


def test_without_mlflow_records_are_written_and_sync_adds_them(
    with_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context:
        context.setattr(launch, "find_spec", lambda _name: None)
        ran = run_demo(with_teacher)
    assert ran.code == 0
    assert "mlflow is not installed: records only" in ran.output
    assert states(with_teacher) == ["FINISHED"] * 6
    assert load_results(with_teacher).empty
    synced = sync_records(Records(with_teacher), with_teacher)
    assert [one.outcome for one in synced] == ["written"] * 6
    assert set(load_results(with_teacher)["key"]) == {key(run) for run in GRID}


def test_launching_needs_neither_mlflow_nor_what_analysis_needs() -> None:
    """As on a machine of a cluster that has PyTorch and little more."""
    packages = "mlflow pandas matplotlib seaborn sklearn scipy torchvision psutil"
    code = f"import sys; sys.modules |= dict.fromkeys({packages.split()!r}); import repro.launch"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_finished_grid_trains_nothing(
    demo: tuple[Path, Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tiny.results(GRID, demo[0])
    ticks = count_ticks(monkeypatch)
    began = time.monotonic()
    ran = run_demo(demo[0])
    assert time.monotonic() - began < 5
    assert ran == Ran(0, "grid demo, profile demo: 6 runs, 6 finished\n")
    assert ticks.count == 0
    assert tiny.results(GRID, demo[0]) == before


def test_cohorts_of_one_give_the_same_bits_as_one_of_five(
    demo: tuple[Path, Ran], with_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = count_ticks(monkeypatch)
    ran = run_demo(with_teacher, max_cohort=1)
    assert "[5/5] resnet14:resnet8 trial 0: ce" in ran.output  # the least work: no teacher
    assert ticks.count >= 5 * 3 * (tiny.STEPS + 1)
    assert tiny.results(GRID, with_teacher) == tiny.results(GRID, demo[0])


def test_more_trials_train_only_what_is_new(
    demo: tuple[Path, Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = Path(shutil.copytree(demo[0], tmp_path / "runs"))
    ticks = count_ticks(monkeypatch)
    ran = run_demo(directory, choice=Choice(trials=2, methods=("ce", "kd")))
    assert "grid demo, profile demo: 5 runs, 3 finished" in ran.output
    assert ticks.count == 3 * (tiny.STEPS + 1) + 3  # before each epoch, too
    assert len(load_results(directory)) == 8


def test_an_epoch_that_does_not_fit_is_not_begun(
    demo: tuple[Path, Ran], with_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for record in Records(with_teacher):  # nothing is known of the machine's speed
        (record.directory / "environment.json").unlink()
    monkeypatch.setattr(limits, "MARGIN", 1e6)
    first = run_demo(with_teacher, max_seconds=600)
    assert first.code == 0
    assert "does not fit in --max-time" in first.output
    assert "give the same command again to go on" in first.output
    assert states(with_teacher) == ["FINISHED"] + ["STOPPED"] * 5
    assert epochs(with_teacher) == [3] + [1] * 5

    again = run_demo(with_teacher, max_seconds=600)  # now the speed is known
    assert again.code == 0
    assert "not even one epoch fits" in again.output
    assert "nothing was gained" in again.output
    assert epochs(with_teacher) == [3] + [1] * 5

    monkeypatch.undo()
    assert run_demo(with_teacher, max_seconds=600).code == 0
    assert tiny.results(GRID, with_teacher) == tiny.results(GRID, demo[0])


def test_nothing_is_trained_among_recorded_results(runs_dir: Path) -> None:
    """The next `repro browse` would remove it."""
    (runs_dir / filled.FILE).touch()
    with pytest.raises(UserError, match="holds recorded results; train in another --runs-dir"):
        run_demo(runs_dir)
    assert not (runs_dir / "records").exists()


def test_too_little_time_for_one_epoch_is_said(runs_dir: Path) -> None:
    ran = run_demo(runs_dir, max_seconds=0)
    assert ran.code == 0
    assert "not even one epoch fits (the time of --max-time is up)" in ran.output
    assert states(runs_dir) == ["STOPPED"] + [None] * 5


def test_the_teacher_can_be_looked_up(demo: tuple[Path, Ran], with_teacher: Path) -> None:
    ran = run_demo(with_teacher, teacher="bank")
    assert ran.code == 0
    assert "teacher bank of resnet14: made (81 views) in " in ran.output
    assert states(with_teacher) == ["FINISHED"] * 6
    words = [tiny.record(run, with_teacher).read_json("environment.json") for run in GRID]
    assert [word["teacher_outputs"] for word in words] == ["none", "none", *["bank"] * 4]
    found, live = tiny.results(GRID, with_teacher), tiny.results(GRID, demo[0])
    assert found["ce 0"] == live["ce 0"]
    assert found["kd 0"] != live["kd 0"]


def test_time_that_made_views_of_a_bank_was_not_lost(
    with_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = tiny.Ticks(9, limits.OutOfTime("the time of --max-time is up"))
    monkeypatch.setattr(limits.Limits, "tick", lambda self: ticks())  # noqa: ARG005
    ran = run_demo(with_teacher, teacher="bank")
    assert ran.code == 0
    assert "the time of --max-time is up; give the same command again to go on" in ran.output
    assert len(list(with_teacher.glob("banks/*/view_*"))) == 4
    assert states(with_teacher) == ["FINISHED"] + [None] * 5
