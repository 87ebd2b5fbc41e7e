"""Memory or disk that is full, and runs that another process takes over."""

import errno
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from repro import losses
from repro.errors import UserError
from repro.leases import Leases
from repro.records import Records
from repro.spec import key
from repro.stages import evict, stage_of
from repro.train.step import EagerStep
from tests import tiny
from tests.disk import names
from tests.jobs.students import RUNS, STUDENTS, TICKS_AN_EPOCH, assert_goes_on_to_the_same, states

LOST, KEPT = STUDENTS


def take_over(directory: Path) -> None:
    """As a process does that saw no heartbeat of the owner for long enough."""
    record = tiny.record(LOST, directory)
    stage = stage_of(record.directory)
    assert stage
    evict(record.directory, stage)


def test_a_run_that_is_taken_over_leaves_its_cohort_and_its_neighbour_goes_on(
    directory: Path, finished: Path
) -> None:
    other, progress, ticks = Leases(), tiny.Progress(), tiny.Ticks()
    taken: list[Any] = []

    def tick() -> None:
        ticks()
        record = tiny.record(LOST, directory)
        if ticks.count == TICKS_AN_EPOCH + 2:
            take_over(directory)
            taken.append(other.take(record, "training"))
            assert taken[0]
        if taken and states(directory)[1] == "FINISHED":
            other.release(taken.pop())  # the other process ends; its run is taken up again

    tiny.train(RUNS, directory, tick=tick, progress=progress)
    assert sum("taken over by another process" in line for line in progress.lines) == 1
    assert tiny.results(RUNS, directory) == tiny.results(RUNS, finished)
    for run in STUDENTS:
        assert not (tiny.record(run, directory).directory / "lease").exists()


def test_runs_of_another_process_are_waited_for_and_not_trained(directory: Path) -> None:
    other, progress, ticks = Leases(), tiny.Progress(), tiny.Ticks()
    lease = other.take(tiny.record(LOST, directory), "training")
    assert lease
    waited: list[list[str | None]] = []

    def tick() -> None:
        ticks()
        if any("waiting for 1 runs" in line for line in progress.lines) and not waited:
            waited.append(states(directory))
            other.release(lease)

    tiny.train(RUNS, directory, tick=tick, progress=progress)
    assert waited == [[None, "FINISHED"]]
    assert states(directory) == ["FINISHED", "FINISHED"]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
    ids=["cuda", "python", "cpu"],
)
def test_without_memory_for_a_cohort_it_is_halved_to_the_same_results(
    directory: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    begin = EagerStep.begin

    def too_many(step: EagerStep, students: Sequence[Any], *rest: Any) -> None:
        if len(students) > 1:
            raise error
        begin(step, students, *rest)

    monkeypatch.setattr(EagerStep, "begin", too_many)
    progress = tiny.Progress()
    tiny.train(RUNS, directory, progress=progress)
    assert sum("out of memory with 2 students; in two halves" in t for t in progress.lines) == 1
    assert tiny.results(RUNS, directory) == tiny.results(RUNS, finished)


def test_without_memory_for_a_single_run_it_is_told_and_the_others_go_on(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(losses.KD, "__call__", broken)
    progress = tiny.Progress()
    tiny.train(RUNS, directory, progress=progress)
    assert states(directory) == ["STOPPED", "FINISHED"]
    assert any("OutOfMemoryError: CUDA out of memory" in line for line in progress.lines)


def test_a_full_disk_stops_with_truthful_statuses_and_goes_on_when_there_is_room(
    directory: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, full = Path.open, [False]

    def no_room(path: Path, mode: str = "r", *given: Any, **named: Any) -> Any:
        if full[0] and set(mode) & set("wax"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(path, mode, *given, **named)

    monkeypatch.setattr(Path, "open", no_room)
    ticks = tiny.Ticks()

    def tick() -> None:
        ticks()
        full[0] = ticks.count > TICKS_AN_EPOCH + 1

    with pytest.raises(UserError, match=r"No space left on device; free space .*goes on where it"):
        tiny.train(RUNS, directory, tick=tick)
    assert states(directory) == ["STOPPED", "STOPPED"]
    for run in STUDENTS:
        status = tiny.record(run, directory).status()
        assert status
        assert "No space left on device" in status.reason
    monkeypatch.undo()
    assert_goes_on_to_the_same(directory, finished)


def test_a_killed_owner_leaves_nothing_behind_once_its_run_is_finished(
    directory: Path, finished: Path
) -> None:
    record = tiny.record(LOST, directory)
    shutil.copytree(tiny.record(LOST, finished).directory / ".", record.directory)
    (record.directory / "lease" / "3.dead").mkdir(parents=True)
    (record.directory / ".lease.dead").mkdir()
    leases = Leases(silent_seconds=0.0)
    leases.take(record, "closing")
    lease = leases.take(record, "closing")
    assert lease
    leases.release(lease)
    assert not [name for name in names(record.directory) if "lease" in name or "tmp" in name]
    assert Records(directory).state(key(LOST)) == "FINISHED"
