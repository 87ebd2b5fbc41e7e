"""Owners in processes of their own, that die, stop and wake up."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from repro.leases import Leases
from repro.records import Record
from repro.stages import fence_of, stage_of

ROOT = Path(__file__).resolve().parents[2]
SILENT_SECONDS = 1.0


@pytest.fixture
def record(tmp_path: Path) -> Record:
    return Record(tmp_path / "records" / "key")


@contextmanager
def holder(record: Record) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.leases.holder"]
    process = subprocess.Popen(
        [*command, str(record.directory), str(SILENT_SECONDS)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def seconds_until_taken(record: Record, leases: Leases) -> float:
    began = time.monotonic()
    while time.monotonic() < began + 20:
        if leases.take(record, "training"):
            return time.monotonic() - began
        time.sleep(0.01)
    raise AssertionError("it was never taken")


def test_a_living_owner_keeps_its_lease(record: Record) -> None:
    leases = Leases(silent_seconds=SILENT_SECONDS)
    with holder(record):
        end = time.monotonic() + 3 * SILENT_SECONDS
        while time.monotonic() < end:
            assert leases.take(record, "training") is None
            time.sleep(0.05)


def test_what_a_killed_owner_held_is_taken_at_once_with_the_next_fencing_number(
    record: Record,
) -> None:
    with holder(record) as process:
        process.kill()
        process.wait()
        assert seconds_until_taken(record, Leases()) < 0.5  # not after a minute
    stage = stage_of(record.directory)
    assert stage
    assert fence_of(stage) == 2


def test_a_stopped_owner_loses_its_lease_and_its_late_write_does_not_count(record: Record) -> None:
    with holder(record) as process:
        os.kill(process.pid, signal.SIGSTOP)
        leases = Leases(silent_seconds=SILENT_SECONDS)
        assert seconds_until_taken(record, leases) > SILENT_SECONDS / 2
        with leases.holding(record, "training") as mine:
            assert mine
            mine.append({"epoch": 0, "metrics": {"mine": 1.0}})
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdin
        assert process.stdout
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert "was taken over by another process" in process.stdout.readline()
    assert [entry["metrics"] for entry in record.history()] == [{"mine": 1.0}]


def test_a_clock_that_jumps_makes_nobody_dead_or_alive(
    record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    leases = Leases(silent_seconds=SILENT_SECONDS)
    with holder(record) as process:
        assert leases.take(record, "training") is None
        monkeypatch.setattr(time, "time_ns", lambda: 4_000_000_000 * 10**9)
        monkeypatch.setattr(time, "time", lambda: 4e9)
        assert leases.take(record, "training") is None
        os.kill(process.pid, signal.SIGSTOP)
        stage = stage_of(record.directory)
        assert stage
        os.utime(stage / "owner.json", (4e9, 4e9))  # its last beat came from the future
        assert seconds_until_taken(record, leases) > SILENT_SECONDS / 2


def test_of_many_that_want_it_one_gets_it(record: Record) -> None:
    """Four processes are ready at the same moment, ten times over."""
    code = (
        "import sys, time; from pathlib import Path\n"
        "from repro.leases import Leases; from repro.records import Record\n"
        "root = Path(sys.argv[1])\n"
        "leases = Leases()\n"
        "for n in range(10):\n"
        "    while not (root / f'go{n}').exists(): pass\n"
        "    got = leases.take(Record(root / 'records' / str(n)), 'training')\n"
        "    print(int(got is not None), flush=True)\n"
        "sys.stdin.read()\n"
    )
    root = record.directory.parents[1]
    words = [sys.executable, "-c", code, str(root)]
    processes = [
        subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    try:
        for number in range(10):
            (root / f"go{number}").touch()
            got = [int(p.stdout.readline()) for p in processes if p.stdout]
            assert sum(got) == 1
    finally:
        for process in processes:
            process.kill()
            process.communicate()
