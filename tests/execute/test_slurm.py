"""What SLURM is asked for, and what its jobs do; neither SLURM nor submitit is needed."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from repro import launch
from repro.backends import Placement
from repro.errors import UserError
from repro.execute import slurm
from repro.execute.slurm import (
    Slurm,
    check_installed,
    limit_minutes,
    node_device,
    sbatch_options,
    slices,
    stop_seconds,
)
from repro.limits import Interrupted
from repro.node_job import REQUEUES, Job, JobLimits, job_id, requeue
from repro.plan import Cohort
from repro.request import Request
from repro.runtime import Outcome
from tests import tiny

COHORTS = tuple(Cohort((replace(tiny.TEACHER, trial=trial),)) for trial in range(20))


def costs(values: list[float]) -> Callable[[Cohort], float]:
    return lambda cohort: values[cohort.runs[0].trial]


@given(
    st.lists(st.floats(1, 100), min_size=1, max_size=len(COHORTS)),
    st.integers(1, len(COHORTS)),
)
def test_slices_hold_every_cohort_once_in_as_few_jobs_as_can_be(
    values: list[float], most: int
) -> None:
    wave = COHORTS[: len(values)]
    parts = slices(wave, most, costs(values))
    assert sorted((c for part in parts for c in part), key=wave.index) == list(wave)
    assert len(parts) == -(-len(wave) // most)
    assert all(1 <= len(part) <= most for part in parts)


def test_slices_are_equally_costly() -> None:
    values = [9.0, 8.0, 7.0, 3.0, 2.0, 1.0]
    parts = slices(COHORTS[:6], 2, costs(values))
    assert [[values[c.runs[0].trial] for c in part] for part in parts] == [[9, 1], [8, 2], [7, 3]]


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ((), ()),
        (("partition=gpu", "account=lab"), (("partition", "gpu"), ("account", "lab"))),
        (("--constraint=a100|h100",), (("constraint", "a100|h100"),)),
        (("cpus_per_task=4",), (("cpus-per-task", "4"),)),
        (("mem=16G", "mem=32G"), (("mem", "32G"),)),
        (("export=ALL,X=1",), (("export", "ALL,X=1"),)),
    ],
)
def test_options_are_those_of_sbatch(
    words: tuple[str, ...], options: tuple[tuple[str, str], ...]
) -> None:
    assert sbatch_options(words) == options


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("partition", "--slurm takes an option of sbatch, as partition=gpu, not 'partition'"),
        ("=gpu", "not '=gpu'"),
        ("partition= ", "not 'partition= '"),
        ("a b=c", "not 'a b=c'"),
        ("mem=1\nrm -r x", "not 'mem=1"),
        ("time=8h", "--slurm time: the time limit of a job is --max-time"),
        ("array=0-3", "--slurm array is set by the suite: leave it out"),
        ("job_name=x", "--slurm job-name is set by the suite: leave it out"),
        ("cpus-per-task=all", "--slurm cpus-per-task must be a whole number, not 'all'"),
    ],
)
def test_a_wrong_option_is_refused(word: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        sbatch_options([word])
    assert message in str(error.value)


def test_what_is_for_slurm_is_refused_elsewhere() -> None:
    assert Placement(backend="slurm", slurm=Slurm(dry_run=True)).slurm.dry_run
    for asked in (Slurm(dry_run=True), Slurm(cohorts_per_job=2), Slurm(sbatch=(("mem", "1G"),))):
        with pytest.raises(UserError, match="are for --backend slurm"):
            Placement(backend="local", slurm=asked)
    with pytest.raises(UserError, match="--cohorts-per-job must be at least 1, not 0"):
        Slurm(cohorts_per_job=0)


@pytest.mark.parametrize(
    ("name", "kind"), [("auto", "cuda"), ("cuda", "cuda"), ("cpu", "cpu"), ("cuda:1", None)]
)
def test_a_job_has_the_gpu_that_slurm_gives_it(name: str, kind: str | None) -> None:
    if kind:
        assert node_device(name) == torch.device(kind)
    else:
        with pytest.raises(UserError, match="SLURM chooses the GPUs of a job"):
            node_device(name)


@pytest.mark.parametrize(
    ("seconds", "minutes", "stop"),
    [(8 * 3600, 480, 8 * 3600 - 120), (600, 10, 480), (181, 4, 120), (180, 3, 60)],
)
def test_a_job_stops_before_its_limit(seconds: float, minutes: int, stop: float) -> None:
    assert limit_minutes(seconds) == minutes
    assert stop_seconds(seconds) == stop


def test_a_limit_that_is_too_short_is_refused() -> None:
    with pytest.raises(UserError, match="must be 3m or more, not 60s"):
        limit_minutes(60)


def test_what_is_missing_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "find_spec", lambda _name: None)
    with pytest.raises(UserError, match=r"pip install -e '.\[slurm\]'"):
        check_installed(dry_run=True)
    monkeypatch.setattr(slurm, "find_spec", lambda name: name)
    monkeypatch.setattr(slurm.shutil, "which", lambda _name: None)
    check_installed(dry_run=True)
    with pytest.raises(UserError, match=r"no sbatch on this machine: .* --dry-run"):
        check_installed(dry_run=False)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job of an array, with a squeue that says what the file ``state`` holds, and an scontrol
    that keeps its words in ``asked``."""
    for name, does in (
        ("squeue", f"cat {tmp_path}/state"),
        ("scontrol", f"echo $* > {tmp_path}/asked"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "state").write_text("RUNNING\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("SLURM_RESTART_COUNT", raising=False)
    words = {"SLURM_JOB_ID": "13", "SLURM_ARRAY_JOB_ID": "13", "SLURM_ARRAY_TASK_ID": "4"}
    for name, value in words.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def asked(cluster: Path) -> str:
    path = cluster / "asked"
    return path.read_text().strip() if path.exists() else ""


def test_a_job_of_an_array_is_requeued_alone(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert requeue() == "job 13_4 is in the queue again (time 1 of 20 at most)"
    assert asked(cluster) == "requeue 13_4"  # "requeue 13" would stop its neighbours, too
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID")
    assert job_id() == "13"


@pytest.mark.parametrize("state", ["COMPLETING", "CANCELLED", ""])
def test_what_slurm_has_ended_is_left_to_it(cluster: Path, state: str) -> None:
    (cluster / "state").write_text(state)
    assert "is ended by SLURM" in requeue()
    assert asked(cluster) == ""


def test_a_job_is_not_requeued_for_ever(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_RESTART_COUNT", str(REQUEUES))
    assert requeue() == "job 13_4 was started again 20 times; give the same command again to go on"
    assert asked(cluster) == ""


def test_an_error_of_scontrol_is_told(cluster: Path) -> None:
    (cluster / "scontrol").write_text("#!/bin/sh\necho it is disabled >&2; exit 1\n")
    assert requeue() == "it is disabled"


@pytest.mark.parametrize(
    ("outcome", "code", "again"),
    [
        (Outcome(failed=False), 0, False),
        (Outcome(failed=True), 1, False),
        (Outcome(failed=False, gained=3, out_of_time=True), 1, True),
        (Outcome(failed=False, gained=0, out_of_time=True), 1, False),
        (Interrupted(signal.SIGTERM), 143, True),
        (Interrupted(signal.SIGUSR2), 128 + signal.SIGUSR2, True),
        (UserError("no CUDA device is available"), 2, False),
    ],
)
def test_a_job_goes_back_into_the_queue_while_something_is_gained(
    outcome: Outcome | Exception,
    code: int,
    again: bool,
    cluster: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train_grid(*_: object) -> Outcome:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(launch, "train_grid", train_grid)
    request: Any = Request(grid="demo", max_seconds=60)
    with pytest.raises(SystemExit) as end:
        Job(request)()
    assert end.value.code == code
    assert asked(cluster) == ("requeue 13_4" if again else "")


def test_a_signal_that_comes_twice_counts_once() -> None:
    limits, before = JobLimits(), signal.getsignal(signal.SIGUSR2)
    with limits.signals():
        os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Interrupted, match="stopped by SIGUSR2"):
        limits.tick()
    assert signal.getsignal(signal.SIGUSR2) == before
