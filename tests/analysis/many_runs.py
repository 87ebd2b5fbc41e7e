"""Tables and the report of as many finished runs as a whole reproduction has, none of them trained.

``python -m tests.analysis.many_runs`` makes up 2,000 runs of the paper's pairs under profile paper,
with what was measured of their networks, and times ``repro tables`` and ``repro report``: MLflow
holds the runs already, and their summary the second time. ``--epochs 240`` makes histories as long
as the paper's; MLflow takes minutes to be filled with them.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import torch
from rich.console import Console

from repro import judging, output, results
from repro.analysis import attack, measured
from repro.data.dataset import Dataset, Images
from repro.entries import run_tags
from repro.environment import ROOT
from repro.grid import ALL, DEFAULT_METHODS, Choice, expand
from repro.profiles import PROFILES
from repro.records import Record, Records
from repro.report import page
from repro.spec import Run, encode, key, seed
from repro.tracking import sync_records
from tests.tracking.made_runs import STARTED_MS, history

PROFILE = PROFILES["paper"]
ACCURACY = ("cifar-same", "cifar-different")
FORMS = ("raw", "zscored", "correlation", "probabilities")
Measurement = measured.Measurement


def made_runs(count: int) -> dict[str, tuple[str, Run]]:
    """By key: grid and run. What the paper needs first, then every method on both benchmarks."""
    asked: list[tuple[str, tuple[str, ...]]] = [(grid, ()) for grid in ACCURACY]
    asked += [(grid, ()) for grid in ("stronger-teacher", "ablation", "plug-in")]
    asked += [(grid, ALL) for grid in ACCURACY]
    asked += [("stronger-teacher", (*DEFAULT_METHODS, "nkd", "ttm"))]
    found: dict[str, tuple[str, Run]] = {}
    for grid, methods in asked:
        for run in expand(grid, PROFILE, Choice(methods=methods)):
            found.setdefault(key(run), (grid, run))
    return dict(list(found.items())[:count])


def make(runs_dir: Path, grid: str, run: Run, epochs: int) -> Record:
    """A finished record, written without waiting for the disk."""
    record = Record(runs_dir / "records" / key(run))
    record.directory.mkdir(parents=True)
    number = seed("top1", run.pair, run.method, run.trial) % 1000
    top1 = 70 + seed("pair", run.pair) % 5 + seed("method", run.method) % 7 / 5 + number / 2000
    files = {
        "run.json": {
            "schema": 1,
            "key": record.key,
            "tags": run_tags(run) | {"profile": PROFILE.name, "grid": grid},
            "run": encode(run),
        },
        "environment.json": {"device": "cpu", "torch": "2", "python": "3.11"},
        "status.json": {
            "state": "FINISHED",
            "started_ms": STARTED_MS,
            "ended_ms": STARTED_MS + epochs * 1000,
            "reason": "",
            "final": [[f"final/top1_{name}", top1] for name in ("last", "best", "last10")],
        },
    }
    for name, content in files.items():
        (record.directory / name).write_text(json.dumps(content))
    (record.directory / "history.jsonl").write_text(history(number, epochs))
    record.weights.write_bytes(record.key.encode())
    return record


def made_table(name: str, subject: measured.Subject) -> pd.DataFrame:
    """Numbers in the shape that a measurement gives them."""
    random = np.random.default_rng(seed(name, *subject.keys))
    if name == "relations":
        return pd.DataFrame({"form": FORMS, "mean": 0.1 + random.random(len(FORMS)) / 50})
    if name == "planes":
        count = PROFILE.triplets
        numbers = {n: 5 + random.random(count) for n in ("fragmentation", "ambiguity", "margin")}
        return pd.DataFrame({"triplet": range(count), **numbers})
    if name == "attack":
        return pd.DataFrame(
            {
                "radius": (0, *attack.RADII),
                "top1": 40 + random.random(1 + len(attack.RADII)),
                "images": PROFILE.attack_images,
            }
        )
    kinds = ("noise", "blur", "jpeg", "brightness", "contrast", "elastic")
    rows = [("clean", 0), *((kind, strength) for kind in kinds for strength in range(1, 6))]
    frame = pd.DataFrame(rows, columns=["corruption", "severity"])
    return frame.assign(top1=40 + random.random(len(frame)), images=PROFILE.corruption_images)


def made_measurement(*, name: str, **fields: Any) -> Measurement:
    """In the place of a measurement: its numbers are made up, kept and read like any others."""

    def measure(subjects: Sequence[measured.Subject]) -> Iterator[pd.DataFrame]:
        return (made_table(name, subject) for subject in subjects)

    return Measurement(name=name, **fields | {"measure": measure})


@cache
def made_dataset() -> Dataset:
    """As many test images as CIFAR-100 has; none is trained on."""
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (10_000, 32, 32, 3), generator=generator, dtype=torch.uint8)
    images = Images(pixels, torch.arange(100).repeat_interleave(100))
    names, half = tuple(map(str, range(100))), (0.5, 0.5, 0.5)
    return Dataset("cifar100", images, images, names, (), half, half)


@contextmanager
def elsewhere(folder: Path) -> Iterator[None]:
    """What is written goes to ``folder``; images and measurements are made up."""
    (folder / "paper_tables").mkdir()
    for path in (ROOT / "paper_tables").iterdir():
        if path.suffix in (".py", ".csv"):
            (folder / "paper_tables" / path.name).symlink_to(path)
    with ExitStack() as stack:
        for module in (output, judging, page):
            stack.enter_context(patch.object(module, "ROOT", folder))
        report = folder / "paper_tables" / "out" / "report.html"
        stack.enter_context(patch.object(judging, "REPORT", report))
        stack.enter_context(patch.object(results, "load", lambda *_: made_dataset()))
        stack.enter_context(patch.object(measured, "Measurement", made_measurement))
        yield


def fill(runs_dir: Path, count: int, epochs: int) -> None:
    for grid, run in made_runs(count).values():
        make(runs_dir, grid, run, epochs)
    for _ in sync_records(Records(runs_dir), runs_dir):
        pass


def measure(count: int, epochs: int, rounds: int = 2) -> list[dict[str, tuple[float, float]]]:
    """Seconds of each command, a round after the other; the first one fills what is kept."""
    with tempfile.TemporaryDirectory() as name, elsewhere(Path(name)):
        folder = Path(name)
        filled, _ = seconds(lambda: fill(folder / "runs", count, epochs))
        print(f"{count} runs of {epochs} epochs made up and put into MLflow: {filled:.0f} s")
        console = Console(quiet=True)
        given = {"profile": "paper", "runs_dir": folder / "runs"}
        return [
            {
                "tables": seconds(lambda: output.tables(console, None, **given)),
                "report": seconds(lambda: judging.report(console, **given)),
            }
            for _ in range(rounds)
        ]


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """By the clock, and of the processor: on a busy machine only the latter says something."""
    began, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - busy


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("count", type=int, nargs="?", default=2_000)
    parser.add_argument("--epochs", type=int, default=2, help="of each history; default 2")
    given = parser.parse_args()
    for number, found in enumerate(measure(given.count, given.epochs), 1):
        told = (f"{name} {clock:.1f} s (CPU {cpu:.1f} s)" for name, (clock, cpu) in found.items())
        print(f"round {number}: {', '.join(told)}")


if __name__ == "__main__":
    main()
