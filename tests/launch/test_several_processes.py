"""A grid under torchrun: several processes train each cohort, rank 0 alone writes."""

import io
import os
import socket
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from rich.console import Console

from repro import launch
from repro.limits import Limits, OutOfTime
from repro.profiles import PROFILES
from repro.records import Records
from repro.request import Request
from repro.spec import key
from tests import tiny
from tests.launch.demo_grid import GRID, STUDENTS, TEACHER, Ran, run_demo, states


def process(rank: int, port: int, runs_dir: str, stop_at: int) -> None:
    """One of two. ``stop_at``: rank 0's step before which its time is up; 0: never."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    PROFILES["demo"] = tiny.PROFILE
    if stop_at:
        ticks = tiny.Ticks(stop_at, OutOfTime("the time of --max-time is up"))
        Limits.tick = lambda self: ticks()  # type: ignore[method-assign]  # noqa: ARG005
    stream = io.StringIO()
    request = Request(grid="demo", runs_dir=Path(runs_dir), checkpoint_seconds=1e9)
    assert launch.run(request, Console(file=stream, width=400)) == 0
    (Path(runs_dir) / f"said-{rank}").write_text(stream.getvalue())


def two_processes(runs_dir: Path, stop_at: int = 0) -> str:
    """What rank 0 said."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(process, (port, str(runs_dir), stop_at), nprocs=2)
    assert (runs_dir / "said-1").read_text() == ""
    return (runs_dir / "said-0").read_text()


def processes(runs_dir: Path) -> set[str]:
    records = [tiny.record(run, runs_dir) for run in STUDENTS]
    return {str(record.environment().get("processes", "1")) for record in records}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, store_template: Path) -> Path:
    runs_dir = tmp_path_factory.mktemp("several")
    (runs_dir / "mlflow.db").write_bytes(store_template.read_bytes())
    two_processes(runs_dir)
    return runs_dir


def test_a_grid_is_trained_once_and_says_by_how_many(trained: Path) -> None:
    assert set(states(trained)) == {"FINISHED"}
    assert len(list(Records(trained))) == len(GRID)
    assert processes(trained) == {"2"}
    from repro.tracking import load_results

    results = load_results(trained)
    assert sorted(results["key"]) == sorted(key(run) for run in GRID)


def test_every_image_was_evaluated_once(trained: Path, demo: tuple[Path, Ran]) -> None:
    import numpy as np

    shapes = [
        np.load(tiny.record(TEACHER, runs_dir).test_logits)["logits"].shape
        for runs_dir in (trained, demo[0])
    ]
    assert shapes[0] == shapes[1]


def test_stopped_within_an_epoch_one_process_goes_on(runs_dir: Path) -> None:
    """The teacher's 3 epochs have 4 calls each when alone; under two none is within evaluations."""
    steps_of_teacher = 3 * (tiny.STEPS + 1)
    said = two_processes(runs_dir, stop_at=steps_of_teacher + tiny.STEPS + 1)
    assert "the time of --max-time is up" in said
    assert states(runs_dir).count("STOPPED") == len(STUDENTS)
    assert run_demo(runs_dir).code == 0
    assert set(states(runs_dir)) == {"FINISHED"}
    assert processes(runs_dir) == {"2, then 1"}
