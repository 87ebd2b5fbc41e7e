"""A run trained while MLflow is in trouble, and what must hold then."""

from pathlib import Path
from typing import Any

from repro.leases import Leases
from repro.live import Live, open_mirror
from repro.records import Records
from repro.tracking import load_results, sync_records
from tests import tiny

RUN = tiny.run("ce", trial=3)
HEALS = "training goes on, `repro sync` adds what is missing"


def train(runs_dir: Path) -> list[str]:
    """What was said of MLflow while ``RUN`` was trained."""
    lines: list[str] = []
    leases = Leases()  # of one process: what it trains it may mirror
    with Live(lambda: open_mirror(runs_dir, leases), lines.append) as tracker:
        tiny.train((RUN,), runs_dir, tracker=tracker, leases=leases)
    return lines


def check(runs_dir: Path, alone: dict[str, Any], lines: list[str], words: str) -> None:
    """The results are the same, and one line says what is wrong and what heals it."""
    assert tiny.results((RUN,), runs_dir) == alone
    (line,) = lines
    assert line.startswith("MLflow: ")
    assert words in line
    assert line.endswith(HEALS)


def heal(runs_dir: Path) -> None:
    outcomes = [[s.outcome for s in sync_records(Records(runs_dir), runs_dir)] for _ in range(2)]
    assert outcomes == [["written"], ["right"]]
    assert len(load_results(runs_dir)) == 1


def synced(runs_dir: Path) -> list[str]:
    return [one.outcome for one in sync_records(Records(runs_dir), runs_dir)]
