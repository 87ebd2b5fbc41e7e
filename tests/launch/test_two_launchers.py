"""Several `repro run` share a runs directory, as processes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from repro.tracking import load_results
from tests import tiny
from tests.launch.demo_grid import GRID, Ran, states
from tests.soak.journal import Journal, doubled, epochs_written

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = sum(run.stream.epochs for run in GRID)


def launcher(runs_dir: Path, **environment: str) -> subprocess.Popen[str]:
    words = ["run", "demo", "--max-cohort", "2", "--runs-dir", str(runs_dir)]
    log = {"REPRO_FAULT_LOG": str(runs_dir / "journal")}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.tiny_grid", *words],
        cwd=ROOT,
        env=os.environ | log | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def journal(runs_dir: Path) -> Journal:
    read = Journal(runs_dir / "journal")
    read.read()
    return read


def test_two_launchers_train_every_run_once(demo: tuple[Path, Ran], runs_dir: Path) -> None:
    launchers = [launcher(runs_dir) for _ in range(2)]
    for process in launchers:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    assert states(runs_dir) == ["FINISHED"] * len(GRID)
    assert tiny.results(GRID, runs_dir) == tiny.results(GRID, demo[0])
    lines = journal(runs_dir).lines
    assert epochs_written(lines) == EPOCHS
    assert doubled(lines) == []
    assert len({line.pid for line in lines if line.name == "history.jsonl appended"}) == 2
    assert len(load_results(runs_dir)) == len(GRID)
    left = {
        path.name for path in runs_dir.rglob("*") if "lease" in path.name or "lock" in path.name
    }
    assert left == set()


def test_a_stopped_launchers_runs_are_taken_over_and_it_does_no_harm_when_it_wakes(
    demo: tuple[Path, Ran], with_teacher: Path
) -> None:
    first = launcher(with_teacher, REPRO_LEASE_SECONDS="1")
    began = time.monotonic()
    while not epochs_written(journal(with_teacher).lines):
        assert time.monotonic() < began + 60
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGSTOP)
    second = launcher(with_teacher, REPRO_LEASE_SECONDS="1")
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 0, output
    assert states(with_teacher) == ["FINISHED"] * len(GRID)
    os.kill(first.pid, signal.SIGCONT)
    output, _ = first.communicate(timeout=120)
    assert first.returncode == 0, output
    assert "was taken over by another process" in output
    assert tiny.results(GRID, with_teacher) == tiny.results(GRID, demo[0])
    assert doubled(journal(with_teacher).lines, frozenset({first.pid})) == []


@pytest.mark.parametrize(
    "moment", ["lease taken:2", "status.json written:2", "checkpoint staged:3"]
)
def test_a_killed_launchers_runs_go_on_at_once(
    demo: tuple[Path, Ran], runs_dir: Path, moment: str
) -> None:
    """By another launcher that is at work, without waiting for the minute of a silent lease."""
    first = launcher(runs_dir, REPRO_FAULT=moment)
    second = launcher(runs_dir)
    for process in (first, second):
        process.communicate(timeout=120)
    assert first.returncode == -signal.SIGKILL
    assert second.returncode == 0
    assert tiny.results(GRID, runs_dir) == tiny.results(GRID, demo[0])
    shutil.rmtree(runs_dir)
