"""The grid demo by SLURM, preempted and signalled on its way: it ends as in one process.

Where SLURM cannot be started submitit's local executor stands in, and says so; the sbatch text is
compared with a recorded one in any case.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import submitit

from repro.backends import Placement
from repro.grid import Choice, expand
from repro.node_job import Job
from repro.planned import waves_of
from repro.profiles import PROFILES
from repro.records import Records
from repro.request import Request
from repro.spec import key
from repro.stages import owner_of, stage_of
from repro.submission import jobs_for
from tests import tiny
from tests.cli.invoke import repro
from tests.cluster.slurm import NoSlurm, Slurm, wait_until
from tests.cluster.told import tell

ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(__file__).with_name("sbatch.txt")
RUNS = expand("demo", PROFILES["demo"], Choice(trials=1))
TEACHER, *STUDENTS = RUNS


@pytest.fixture(scope="module")
def started() -> Iterator[Slurm | str]:
    """A SLURM, or why there is none."""
    try:
        with Slurm() as slurm:
            yield slurm
    except NoSlurm as error:
        yield str(error)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[object, ...]]:
    """The results of ``repro run demo`` in one process, with one thread as the jobs have."""
    directory = tmp_path_factory.mktemp("inline")
    run_demo(directory, Slurm(directory).environment)
    return tiny.results(RUNS, directory)


def run_demo(runs_dir: Path, environment: dict[str, str], *more: str) -> str:
    given = ["run", "demo", "--trials=1", "--device=cpu", f"--runs-dir={runs_dir}", *more]
    command = [sys.executable, "-m", "repro", *given]
    return subprocess.run(
        command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def test_a_preempted_and_requeued_grid_ends_as_in_one_process(
    started: Slurm | str, expected: dict[str, tuple[object, ...]], tmp_path: Path
) -> None:
    if isinstance(started, str):
        pytest.skip(started)
    slurm, runs_dir = started, tmp_path / "runs"
    more = ("--max-time=10m", "--slurm=partition=low", "--slurm=cpus-per-task=1")
    cohorts = ("--max-cohort=3", "--cohorts-per-job=1")
    said = run_demo(runs_dir, slurm.environment, "--backend=slurm", *more, *cohorts)
    teachers, students = re.findall(r"^wave \d: job (\d+), ", said, re.MULTILINE)

    preempt(slurm, runs_dir)
    assert [line for line in slurm.queue() if line.startswith(f"{students}_")] == [
        f"{students}_[0-1%2] PENDING Dependency"  # also while the teacher is requeued
    ]
    signal_first(slurm, students, runs_dir)
    wait_until(lambda: not slurm.queue(), 300, "jobs are still in the queue")

    logs = {path.name: path.read_text() for path in (runs_dir / "slurm").glob("*_log.out")}
    assert f"job {teachers} is ended by SLURM" in logs[f"{teachers}_0_log.out"]
    assert re.search(r"teacher, from epoch \d", logs[f"{teachers}_0_log.out"])
    first = logs[f"{students}_0_0_log.out"]
    assert f"job {students}_0 is in the queue again (time 1 of 20 at most)" in first
    assert re.search(r"resnet8 trial 0: .*, from epoch \d", first)
    assert "in the queue again" not in logs[f"{students}_1_0_log.out"]
    assert not (runs_dir / "mlflow.db").exists()
    assert tiny.results(RUNS, runs_dir) == expected
    tell("SLURM", "ran")


def preempt(slurm: Slurm, runs_dir: Path) -> None:
    """A job of the other partition takes the teacher's node in the middle of its training."""
    teacher = key(TEACHER)
    wait_until(lambda: epochs(runs_dir, teacher) >= 2, 120, "the teacher does not train")
    slurm.ask("sbatch", "--partition=high", "--cpus-per-task=2", "--output=/dev/null", "--wrap=:")
    wait_until_stopped(runs_dir, teacher, "SIGTERM")


def signal_first(slurm: Slurm, array: str, runs_dir: Path) -> None:
    """SIGUSR2, as before a time limit, to the first job of the students' array alone."""
    pickle = runs_dir / "slurm" / f"{array}_0_submitted.pkl"
    keys = submitit.core.utils.DelayedSubmission.load(pickle).function.request.part.keys
    began = lambda: all(epochs(runs_dir, k) for k in keys)  # noqa: E731
    wait_until(began, 240, f"the students do not train: {slurm.queue()}")
    slurm.ask("scancel", "--signal=USR2", f"{array}_0")
    for k in keys:
        wait_until_stopped(runs_dir, k, "SIGUSR2")


def wait_until_stopped(runs_dir: Path, key: str, by: str) -> None:
    wait_until(lambda: Records(runs_dir).state(key) == "STOPPED", 60, f"{by} does not stop {key}")
    status = Records(runs_dir).of(key).status()
    assert status
    assert status.reason == f"stopped by {by}"


def epochs(runs_dir: Path, key: str) -> int:
    record = Records(runs_dir).of(key)
    return len(record.history()) if record.exists() else 0


def test_submitit_stands_in_where_slurm_does_not_start(
    started: Slurm | str, expected: dict[str, tuple[object, ...]], tmp_path: Path
) -> None:
    """The same jobs in processes of submitit's local executor; the teacher's is signalled once."""
    if isinstance(started, Slurm):
        pytest.skip("SLURM runs")
    runs_dir = tmp_path / "runs"
    teachers, students = jobs_of(runs_dir)
    executor = submitit.LocalExecutor(runs_dir / "slurm")
    executor.update_parameters(timeout_min=10)
    ran = [executor.submit(teachers)]
    wait_until(lambda: epochs(runs_dir, key(TEACHER)) >= 2, 120, "the teacher does not train")
    owner = owner_of(stage_of(tiny.record(TEACHER, runs_dir).directory) or runs_dir)
    assert owner
    os.kill(owner.pid, signal.SIGUSR2)
    wait_until_stopped(runs_dir, key(TEACHER), "SIGUSR2")
    for job in (teachers, students):
        wait_until(ran[-1].done, 240, "a job does not end")
        ran.append(executor.submit(job))
    wait_until(ran[-1].done, 240, "a job does not end")
    assert tiny.results(RUNS, runs_dir) == expected
    tell("SLURM", f"stood in: {started}")


def jobs_of(runs_dir: Path) -> list[Job]:
    placement = Placement(backend="slurm")
    request = Request(
        grid="demo",
        choice=Choice(trials=1),
        device="cpu",
        runs_dir=runs_dir,
        max_seconds=600,
        placement=placement,
    )
    waves, _ = waves_of(RUNS, Records(runs_dir), 8)
    make = jobs_for(request, "demo", waves)
    return [make(wave) for wave in waves]


def test_the_sbatch_text_is_the_recorded_one(tmp_path: Path) -> None:
    """Whatever SLURM there is: --dry-run needs none, and writes nothing."""
    runs_dir = tmp_path / "my runs"
    words = ("partition=gpu", "account=lab", "constraint=a100|h100", "cpus-per-task=4")
    options = [word for pair in words for word in ("--slurm", pair)]
    command = ["run", "demo", "--backend=slurm", "--max-time=8h", "--dry-run", *options]
    result = repro(*command, "--cohorts-per-job=2", "--runs-dir", runs_dir)
    assert result.exit_code == 0, result.output
    text = result.output.replace(str(runs_dir), "RUNS").replace(sys.executable, "PYTHON")
    assert text == RECORDED.read_text()
    assert not runs_dir.exists()
