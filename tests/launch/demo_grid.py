"""The grid demo with 70 images, launched in this process."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from repro import launch
from repro.grid import expand
from repro.limits import Limits
from repro.records import Records
from repro.request import Request
from repro.spec import key
from tests import tiny

GRID = expand("demo", tiny.PROFILE)
TEACHER, *STUDENTS = GRID
TICKS_AN_EPOCH = tiny.STEPS + 1


@dataclass(frozen=True)
class Ran:
    code: int
    output: str


def run_demo(runs_dir: Path, **options: Any) -> Ran:
    stream = io.StringIO()
    request = Request(grid="demo", device="cpu", runs_dir=runs_dir, **options)
    code = launch.run(request, Console(file=stream, width=400))
    return Ran(code, stream.getvalue())


def states(runs_dir: Path) -> list[str | None]:
    return [Records(runs_dir).state(key(run)) for run in GRID]


def epochs(runs_dir: Path) -> list[int]:
    return [len(tiny.record(run, runs_dir).history()) for run in GRID]


def reasons(runs_dir: Path) -> set[str]:
    statuses = [tiny.record(run, runs_dir).status() for run in STUDENTS]
    return {status.reason for status in statuses if status}


def count_ticks(monkeypatch: pytest.MonkeyPatch) -> tiny.Ticks:
    ticks = tiny.Ticks()
    monkeypatch.setattr(Limits, "tick", lambda self: ticks())  # noqa: ARG005
    return ticks
