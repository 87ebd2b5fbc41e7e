"""Several processes share one grid; here each has the CPU."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from repro.data import digits
from repro.errors import UserError
from repro.execute.local import local
from repro.leases import Leases
from repro.limits import Interrupted, OutOfTime
from repro.losses import CE
from repro.plan import Cohort
from repro.planned import waves_of
from repro.records import Records
from repro.spec import Run, key
from repro.stages import stage_of
from tests import tiny
from tests.execute import forever

TEACHERS = [tiny.TEACHER, replace(tiny.TEACHER, network="resnet14", trial=2)]
RUNS = (
    *TEACHERS,
    *(tiny.run("kd", teacher=teacher, trial=trial) for teacher in TEACHERS for trial in (1, 2)),
)


def train(
    runs: tuple[Run, ...], directory: Path, count: int = 2, **changes: object
) -> tuple[list[Cohort], tiny.Tracker, tiny.Progress]:
    tracker, progress = tiny.Tracker(), tiny.Progress()
    runtime = tiny.runtime(directory, tracker=tracker, progress=progress, **changes)
    waves, _ = waves_of(runs, Records(directory), 8)
    return local(waves, runtime, [tiny.CPU] * count), tracker, progress


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tiny.Tracker, tiny.Progress]:
    directory = tmp_path_factory.mktemp("local")
    torch.set_num_threads(1)
    blocked, tracker, progress = train(RUNS, directory)
    assert blocked == []
    return directory, tracker, progress


def test_the_results_are_those_of_one_process(
    trained: tuple[Path, tiny.Tracker, tiny.Progress], tmp_path: Path
) -> None:
    tiny.train(RUNS, tmp_path)
    assert tiny.results(RUNS, tmp_path) == tiny.results(RUNS, trained[0])


def test_every_worker_trains_and_the_parent_tracks(
    trained: tuple[Path, tiny.Tracker, tiny.Progress],
) -> None:
    _, tracker, progress = trained
    ended = [k for k, state, _ in tracker.updates if state == "FINISHED"]
    assert {key(run) for run in RUNS} <= set(ended)
    assert {line.split()[0] for line in progress.lines} == {"cpu#0", "cpu#1"}


def test_students_wait_for_their_teacher(
    trained: tuple[Path, tiny.Tracker, tiny.Progress],
) -> None:
    directory = trained[0]
    for run in RUNS:
        if run.teacher:
            taught, teacher = (tiny.record(r, directory).status() for r in (run, run.teacher))
            assert taught
            assert teacher
            assert teacher.ended_ms is not None
            assert taught.started_ms >= teacher.ended_ms


def test_students_of_a_failed_teacher_are_blocked(tmp_path: Path) -> None:
    bad = replace(tiny.TEACHER, optim=replace(tiny.OPTIM, lr=1e30))
    student = tiny.run("kd", teacher=bad)
    blocked, _, _ = train((bad, student, tiny.run("ce", teacher=bad)), tmp_path, count=1)
    assert [run.method for cohort in blocked for run in cohort.runs] == ["kd"]
    assert Records(tmp_path).state(key(bad)) == "FAILED"


def test_a_signal_to_the_parent_stops_every_worker_with_truthful_statuses(tmp_path: Path) -> None:
    long = replace(tiny.STREAM, epochs=10_000)
    runs = tuple(replace(tiny.TEACHER, stream=long, trial=trial) for trial in (0, 1))
    began = time.monotonic()

    def tick() -> None:
        histories = [tiny.record(run, tmp_path).history() for run in runs]
        if all(histories) or time.monotonic() > began + 60:
            raise Interrupted(signal.SIGTERM)

    with pytest.raises(Interrupted, match="SIGTERM"):
        train(runs, tmp_path, tick=tick)
    for run in runs:
        status = tiny.record(run, tmp_path).status()
        assert status
        assert (status.state, status.reason) == ("STOPPED", "stopped by SIGTERM")
        assert tiny.record(run, tmp_path).history()


def test_the_time_limit_holds_in_workers(tmp_path: Path) -> None:
    long = replace(tiny.STREAM, epochs=10_000)
    with pytest.raises(OutOfTime):
        train((replace(tiny.TEACHER, stream=long),), tmp_path, count=1, deadline=time.monotonic())


def test_a_worker_that_is_killed_twice_is_told_and_its_neighbour_finishes(tmp_path: Path) -> None:
    long = replace(tiny.STREAM, epochs=10_000)
    killed, other = replace(tiny.TEACHER, stream=long), replace(tiny.TEACHER, trial=3)

    def tick() -> None:
        finished = Records(tmp_path).state(key(other)) == "FINISHED"
        if finished and tiny.record(killed, tmp_path).history():
            for process in multiprocessing.active_children():
                process.kill()

    _, _, progress = train((killed, other), tmp_path, tick=tick)
    told = [line for line in progress.lines if "its process ended with code -9" in line]
    assert [line.rpartition(killed.pair)[2] for line in told] == [
        " trial 0; once more",
        " trial 0 again; the same command goes on",
    ]
    record = tiny.record(killed, tmp_path)
    status = record.status()
    assert status
    assert (status.state, status.reason) == ("STOPPED", "was killed")
    assert stage_of(record.directory) is None


def test_a_users_error_of_a_worker_reaches_the_parent(tmp_path: Path) -> None:
    stream = replace(tiny.STREAM, train_per_class=digits.load().train.labels.numel())
    run = replace(tiny.TEACHER, stream=stream, loss=CE())
    with pytest.raises(UserError, match="train_per_class"):
        train((run,), tmp_path, count=1)


def hold_when_free(directory: Path) -> None:
    """Take every lease as soon as its worker gives it back, as another launcher would."""
    leases, began = Leases(), time.monotonic()
    for run in forever.RUNS:
        while leases.take(tiny.record(run, directory), "training") is None:
            assert time.monotonic() < began + 30
            time.sleep(0.02)


def test_workers_end_with_a_launcher_that_is_killed_and_a_new_one_waits(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.execute.forever", str(tmp_path)]
    launcher = subprocess.Popen(command)
    began = time.monotonic()
    while not all(tiny.record(run, tmp_path).history() for run in forever.RUNS):
        assert time.monotonic() < began + 60
        time.sleep(0.05)
    launcher.kill()
    launcher.wait()
    hold_when_free(tmp_path)
    histories = [tiny.record(run, tmp_path).history() for run in forever.RUNS]
    reasons = [tiny.record(run, tmp_path).status() for run in forever.RUNS]
    time.sleep(1)
    assert [tiny.record(run, tmp_path).history() for run in forever.RUNS] == histories
    assert {status.reason for status in reasons if status} == {"its launcher has died"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR2])  # SLURM's notice
def test_a_signal_to_the_whole_group_stops_workers_in_order(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "tests.execute.forever", str(tmp_path)]
    launcher = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    began = time.monotonic()
    while not all(tiny.record(run, tmp_path).history() for run in forever.RUNS):
        assert time.monotonic() < began + 60
        time.sleep(0.05)
    os.killpg(launcher.pid, number)
    launcher.wait()
    hold_when_free(tmp_path)
    statuses = [tiny.record(run, tmp_path).status() for run in forever.RUNS]
    assert {status.state for status in statuses if status} == {"STOPPED"}
    assert all(status.reason for status in statuses if status)
