"""Finished records of runs that nobody trained: many, and made quickly.

``python -m tests.tracking.made_runs 500`` measures a sync of that many runs of 240 epochs into a
new database, and the sync after it.
"""

import json
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from repro.entries import run_tags
from repro.records import Record, Records
from repro.spec import Run, encode, key
from tests import tiny

METRICS = ("test/top1", "test/loss", "test/top5", "train/top1", "train/loss", "train/ce")
MORE = ("train/kd", "train/cmkd", "lr", "weight/pearson", "weight/spearman", "agreement")
STARTED_MS = 1_700_000_000_000
KILOBYTES = 600  # of weights: half precision of resnet20; test logits of CIFAR-100 take 2,000


def made_run(number: int) -> Run:
    return replace(tiny.run("kd"), trial=number)


def history(number: int, epochs: int) -> str:
    lines = []
    for epoch in range(epochs):
        values = {name: (number * 7 + epoch * 13 + i) / 97 for i, name in enumerate(METRICS + MORE)}
        time_ms = STARTED_MS + number * 100_000 + epoch * 1000
        entry = {"epoch": epoch, "time_ms": time_ms, "seconds": 1.0, "students": 5}
        entry["metrics"] = values
        lines.append(json.dumps(entry) + "\n")
    return "".join(lines)


def make(runs_dir: Path, number: int, epochs: int, kilobytes: int = 1) -> Record:
    """A finished record, written without waiting for the disk."""
    run = made_run(number)
    record = Record(runs_dir / "records" / key(run))
    record.directory.mkdir(parents=True)
    tags = run_tags(run) | {"profile": "paper", "grid": "cifar"}
    final = [[f"final/top1_{name}", 70 + number / 7] for name in ("last", "best", "last10")]
    ended = STARTED_MS + number * 100_000 + epochs * 1000
    files = {
        "run.json": {"schema": 1, "key": record.key, "tags": tags, "run": encode(run)},
        "environment.json": {"device": "cpu", "torch": "2", "training_images": "0" * 64},
        "status.json": {
            "state": "FINISHED",
            "started_ms": STARTED_MS + number * 100_000,
            "ended_ms": ended,
            "reason": "",
            "final": final,
        },
    }
    for name, content in files.items():
        (record.directory / name).write_text(json.dumps(content))
    (record.directory / "history.jsonl").write_text(history(number, epochs))
    record.weights.write_bytes(os.urandom(1024) * kilobytes)
    record.test_logits.write_bytes(os.urandom(1024) * kilobytes)
    return record


def make_all(runs_dir: Path, count: int, epochs: int = 240, kilobytes: int = 1) -> Records:
    for number in range(count):
        make(runs_dir, number, epochs, kilobytes)
    return Records(runs_dir)


def measure(count: int) -> None:
    from repro.tracking import sync_records

    with tempfile.TemporaryDirectory() as folder:
        runs_dir = Path(folder)
        records = make_all(runs_dir, count, kilobytes=KILOBYTES)
        for words in ("first", "second"):
            began = time.perf_counter()
            outcomes = [synced.outcome for synced in sync_records(records, runs_dir)]
            seconds = time.perf_counter() - began
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(f"{words} sync of {count} runs: {seconds:.1f} s, {set(outcomes)}, {peak} MiB")


if __name__ == "__main__":
    measure(int(sys.argv[1]))
