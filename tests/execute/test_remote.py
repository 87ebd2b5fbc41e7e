"""Cohorts on workers that a cluster places; here the cluster is of threads."""

import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from repro.errors import UserError
from repro.execute.remote import Launcher
from repro.leases import Leases
from repro.limits import Interrupted, OutOfTime
from repro.plan import Cohort
from repro.planned import waves_of
from repro.records import Records, Status
from repro.spec import Run, key
from repro.stages import owner_of, stage_of
from tests import tiny
from tests.execute.threads import Threads

RUNS = (tiny.TEACHER, *(tiny.run("kd", trial=trial) for trial in (1, 2)))
LONG = replace(tiny.TEACHER, stream=replace(tiny.STREAM, epochs=10_000))


def launcher(runs: tuple[Run, ...], directory: Path, **given: Any) -> Launcher:
    """``given``: of the cluster, or of the runtime."""
    of_cluster = {k: given.pop(k) for k in list(given) if k in Threads.__dataclass_fields__}
    directory.mkdir(exist_ok=True)
    (directory / "nonce").touch()
    waves, _ = waves_of(runs, Records(directory), 8)
    runtime = tiny.runtime(directory, **given)
    return Launcher(waves, runtime, Threads(runtime, **of_cluster))


def lines(of: Launcher) -> list[str]:
    assert isinstance(of.runtime.progress, tiny.Progress)
    return of.runtime.progress.lines


def finished(of: Launcher) -> set[str]:
    assert isinstance(of.runtime.tracker, tiny.Tracker)
    return {k for k, state, _ in of.runtime.tracker.updates if state == "FINISHED"}


@pytest.mark.parametrize("nonce", ["nonce", "unseen"])
def test_the_results_are_those_of_one_process(nonce: str, tmp_path: Path) -> None:
    there, inline = tmp_path / "there", tmp_path / "inline"
    launched = launcher(RUNS, there, nonce=nonce)
    assert launched.run() == []
    tiny.train(RUNS, inline)
    assert tiny.results(RUNS, inline) == tiny.results(RUNS, there)
    assert finished(launched) == {key(run) for run in RUNS}
    assert not any(stage_of(tiny.record(run, there).directory) for run in RUNS)


def test_where_no_directory_is_shared_nothing_is_left_on_workers(tmp_path: Path) -> None:
    launched = launcher(RUNS, tmp_path, nonce="unseen")
    launched.run()
    cluster = launched.cluster
    assert isinstance(cluster, Threads)
    assert len(cluster.directories) == 2
    assert not any(directory.exists() for directory in (*cluster.directories,))
    told = [line for line in lines(launched) if "does not share" in line]
    assert len(told) == 1


def test_what_was_begun_here_goes_on_there(tmp_path: Path) -> None:
    inline, there = tmp_path / "inline", tmp_path / "there"
    ticks = tiny.Ticks(at=2 * tiny.STEPS + 4, error=Interrupted(signal.SIGTERM))
    with pytest.raises(Interrupted):
        tiny.train(RUNS[:1], there, tick=ticks)
    launched = launcher(RUNS[:1], there, nonce="unseen")
    launched.run()
    assert any(", from epoch" in line for line in lines(launched))
    tiny.train(RUNS[:1], inline)
    assert tiny.results(RUNS[:1], inline) == tiny.results(RUNS[:1], there)


def test_what_another_process_trains_is_left_to_it(tmp_path: Path) -> None:
    launched, other = launcher(RUNS[:1], tmp_path, nonce="unseen"), Leases()
    lease = other.take(tiny.record(RUNS[0], tmp_path), "training")
    assert lease
    began = time.monotonic()

    def tick() -> None:
        if "waiting for 1 runs" in "".join(lines(launched)) or time.monotonic() > began + 30:
            other.release_all()

    launched.runtime.tick = tick
    launched.run()
    assert finished(launched) == {key(RUNS[0])}


@pytest.mark.parametrize("nonce", ["nonce", "unseen"])
def test_a_cohort_is_begun_again_twice_elsewhere(nonce: str, tmp_path: Path) -> None:
    launched = launcher(RUNS[:1], tmp_path, deaths=2, nonce=nonce)
    launched.run()
    died = [line for line in lines(launched) if "died in resnet8 trial 0 (lightning)" in line]
    assert [line.split("; ")[-1] for line in died] == ["once more"] * 2
    assert Records(tmp_path).state(key(RUNS[0])) == "FINISHED"
    assert launched.runtime.broken == []


def test_a_cohort_that_kills_three_workers_is_told_and_its_students_are_blocked(
    tmp_path: Path,
) -> None:
    launched = launcher(RUNS, tmp_path, deaths=3)
    blocked = launched.run()
    assert [run.method for cohort in blocked for run in cohort.runs] == ["kd", "kd"]
    assert launched.runtime.broken == [Cohort(RUNS[:1])]
    assert lines(launched)[-1].endswith("(lightning) again; the same command goes on")


def test_a_killed_workers_status_is_truthful_at_once(tmp_path: Path) -> None:
    """Its heart may have stopped a moment ago only: the launcher knows better."""
    launched = launcher(RUNS[:1], tmp_path, deaths=3)
    worker = Leases(launched.runtime.leases.launch)
    worker.boot = "of another machine"
    record = tiny.record(RUNS[0], tmp_path)
    with worker.holding(record, "training") as own:
        assert own
        own.create(RUNS[0], {})
        own.write_status(Status("RUNNING", 1, fence=1))
        launched.run()
    status = record.status()
    assert status
    assert (status.state, status.reason) == ("STOPPED", "was killed")


@pytest.mark.parametrize("nonce", ["nonce", "unseen"])
def test_a_signal_stops_every_worker_with_truthful_statuses(nonce: str, tmp_path: Path) -> None:
    runs = (LONG, replace(LONG, trial=1))
    began = time.monotonic()

    def tick() -> None:
        if len(launched.runtime.progress.lines) > 3 or time.monotonic() > began + 30:  # type: ignore[attr-defined]
            raise Interrupted(signal.SIGTERM)

    launched = launcher(runs, tmp_path, nonce=nonce)
    launched.runtime.tick = tick
    cluster: Any = launched.cluster
    plain = cluster.events

    def events(seconds: float) -> Any:
        for number, trainer in cluster.trainers.items():
            yield number, "mail", trainer.fetch(0.1)
        yield from plain(seconds)

    cluster.events = events
    with pytest.raises(Interrupted, match="SIGTERM"):
        launched.run()
    for run in runs:
        record = tiny.record(run, tmp_path)
        status = record.status()
        assert status
        assert (status.state, status.reason) == ("STOPPED", "stopped by SIGTERM")
        assert record.history()
        assert record.checkpoint.exists()


@pytest.mark.parametrize("nonce", ["nonce", "unseen"])
def test_the_time_limit_holds_on_workers(nonce: str, tmp_path: Path) -> None:
    launched = launcher((LONG,), tmp_path, nonce=nonce, deadline=time.monotonic() + 2)
    with pytest.raises(OutOfTime):
        launched.run()
    assert launched.runtime.gained == len(tiny.record(LONG, tmp_path).history()) > 0


def test_other_versions_are_told(tmp_path: Path) -> None:
    launched = launcher(RUNS, tmp_path, expected="torch 1.0, cmkd-repro 0.0.0")
    with pytest.raises(UserError, match=r"has torch .*, the launcher torch 1\.0.*: install the"):
        launched.run()


def test_workers_that_never_start_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^no worker can start: no torch there$"):
        launcher(RUNS, tmp_path, stillborn=True).run()


def test_a_fault_of_a_worker_ends_its_cohort_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("a fault")

    launched = launcher(RUNS[:1], tmp_path)
    monkeypatch.setattr("repro.execute.trainer.train_entry", fails)
    launched.run()
    assert "ZeroDivisionError" in lines(launched)[-1]
    assert launched.runtime.broken == [Cohort(RUNS[:1])]


def test_a_launcher_takes_over_from_the_workers_that_it_saw_die_and_from_no_others(
    tmp_path: Path,
) -> None:
    record = tiny.record(RUNS[0], tmp_path)
    worker, launch, other = Leases("one"), Leases("one"), Leases("two")
    worker.boot = "of another machine"
    lease = worker.take(record, "training")
    assert lease
    owner = owner_of(lease.stage)
    assert owner
    for leases in (launch, other):
        assert leases.take(record, "closing") is None
        leases.killed.add((owner.host, owner.pid))
    assert other.take(record, "closing") is None
    assert launch.take(record, "closing")
