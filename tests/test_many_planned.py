"""What is planned and told of thousands of runs costs little. Most tests count operations,
which a busy machine does not change: at these ``repro plan`` and ``repro status`` of 10,000 runs
take 4 s."""

import subprocess
import sys
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

from repro import estimate, spec
from repro.execute.board import Board
from repro.grid import ALL, Choice, expand
from repro.planned import show_plan, waves_of
from repro.profiles import PROFILES
from repro.records import Records
from repro.request import Request
from repro.spec import Run, key
from repro.status import show_status
from tests import tiny
from tests.analysis.many_runs import make

CHOICE = Choice(methods=ALL, trials=13)
FINISHED = 200
MOST_BYTES_A_RUN = 10_000  # they take 2,000; 10,000 runs may take 1 GiB, with all that is imported


@pytest.fixture(scope="module")
def runs() -> tuple[Run, ...]:
    found = expand("cifar-same", PROFILES["paper"], CHOICE)
    assert len(found) > 2_000
    return found


@pytest.fixture(scope="module")
def filled(runs: tuple[Run, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of the runs finished, and one of another grid."""
    directory = tmp_path_factory.mktemp("filled")
    for run in (*runs[-FINISHED:], tiny.TEACHER):
        make(directory, "cifar-same", run, epochs=2)
    return directory


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The files that are read, by name; "exists": questions whether there is one."""
    found: Counter[str] = Counter()

    def watch(name: str) -> None:
        call = getattr(Path, name)

        def watched(path: Path, *given: Any, **named: Any) -> Any:
            found["exists" if name == "exists" else path.name] += 1
            return call(path, *given, **named)

        monkeypatch.setattr(Path, name, watched)

    for name in ("read_text", "read_bytes", "exists"):
        watch(name)
    return found


def request(runs_dir: Path) -> Request:
    return Request(
        grid="cifar-same", profile="paper", choice=CHOICE, runs_dir=runs_dir, device="cpu"
    )


def test_only_what_is_there_is_looked_at(
    runs: tuple[Run, ...], filled: Path, read: Counter[str]
) -> None:
    """Each status once, and no file for a run that has none."""
    waves, states = waves_of(runs, Records(filled), 8)
    assert Counter(states.values()) == {"": len(runs) - FINISHED, "FINISHED": FINISHED}
    assert sum(len(cohort.runs) for wave in waves for cohort in wave) == len(runs) - FINISHED
    assert read.pop("exists") <= 5 * FINISHED
    assert {name: count for name, count in read.items() if "json" in name} == {
        "status.json": FINISHED
    }


def test_an_empty_directory_is_asked_for_nothing(
    runs: tuple[Run, ...], tmp_path: Path, read: Counter[str]
) -> None:
    waves_of(runs, Records(tmp_path), 8)
    assert read == {}


def test_a_status_reads_no_history_of_what_is_finished(filled: Path, read: Counter[str]) -> None:
    show_status(request(filled), Console(quiet=True))
    assert (read["history.jsonl"], read["status.json"], read["run.json"]) == (0, FINISHED, 0)
    read.clear()
    show_status(Request(grid="", runs_dir=filled), Console(quiet=True))
    assert (read["history.jsonl"], read["run.json"]) == (0, FINISHED + 1)


def test_a_key_is_computed_once_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[Run] = []
    canonical = spec.canonical
    monkeypatch.setattr(spec, "canonical", lambda run: hashed.append(run) or canonical(run))
    key.cache_clear()
    show_plan(request(tmp_path), Console(quiet=True))
    made = len(expand("cifar-same", PROFILES["paper"], CHOICE))
    assert made <= len(hashed) <= 1.5 * made  # before baselines of several pairs become one


def test_memory_is_counted_by_network_and_not_by_run(
    runs: tuple[Run, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def memory_of(run: Run, _processes: int) -> estimate.Need:
        asked.append(run.network)
        return estimate.Need(each=1, once=0)

    monkeypatch.setattr(estimate, "memory_of", memory_of)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (80 << 30, 80 << 30))
    assert estimate.cohort_size(runs, torch.device("cuda", 0)) == 8
    assert 0 < len(asked) <= 3 * len(set(asked))  # with and without a second view


def test_a_waiting_launcher_looks_at_each_teacher_once(
    runs: tuple[Run, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though hundreds of cohorts wait for it, and every idle device asks five times a second."""
    waves, _ = waves_of(runs, Records(tmp_path), 8)
    board = Board(waves, tiny.runtime(tmp_path))
    teachers = {run.teacher for run in runs if run.teacher}
    for _ in waves[0]:
        assert board.next()
    asked: list[str] = []
    monkeypatch.setattr(Records, "state", lambda _, k: asked.append(k))
    assert board.next() is None
    assert sorted(asked) == sorted(map(key, teachers))


def test_a_plan_takes_little_memory(tmp_path: Path) -> None:
    show_plan(request(tmp_path), Console(quiet=True))  # what is imported or kept for good
    key.cache_clear()
    tracemalloc.start()
    try:
        show_plan(request(tmp_path), Console(quiet=True))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MOST_BYTES_A_RUN * 2_000


def test_a_plan_takes_little_time(tmp_path: Path) -> None:
    """10,000 runs may take 5 s of the machine at which a loop of 3 million steps takes 0.2 s: of
    2,000 runs 5 loops, and with what is imported first twice that. The loop is as slow as the
    machine is now."""
    key.cache_clear()
    loop = cpu_seconds(lambda: sum(i * i for i in range(3_000_000)))
    assert cpu_seconds(lambda: show_plan(request(tmp_path), Console(quiet=True))) < 10 * loop


def cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def test_the_networks_are_counted_without_the_compiler() -> None:
    """Which torch imports for some calls, and which takes longer than the whole plan."""
    code = (
        "import sys; from repro.models import MODELS, count_macs;"
        "[count_macs(name) for name in MODELS]; sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
