"""Processes of the suite that have trained runs, as far as MLflow can tell: they play records.

``python -m tests.cluster.writer FROM TO PROCESSES RUNS``: the finished records of ``made_runs`` in
the runs directory FROM come to be in TO, epoch by epoch, each process's RUNS together, and are
logged live. They begin when a line comes in; what was said comes out, as JSON.
"""

import json
import multiprocessing
import shutil
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from repro.leases import Leases
from repro.live import Live, open_mirror
from repro.records import Record, Records, Status
from repro.spec import key
from tests.tracking.made_runs import made_run

EPOCH_SECONDS = 0.2  # of all runs of a process, which are a cohort
FIRST, LAST = ("run.json", "environment.json"), ("weights.safetensors", "test_logits.npz")


def play(source: Path, target: Path, numbers: list[int]) -> list[str]:
    """What was said; "" would be nothing wrong."""
    said: list[str] = []
    leases = Leases()
    with Live(lambda: open_mirror(target, leases), said.append) as tracker, ExitStack() as stack:
        pairs = []
        for k in (key(made_run(number)) for number in numbers):
            made, record = Records(source).own(k), Records(target).own(k)
            held = stack.enter_context(leases.holding(record, "training"))
            assert held
            pairs.append((made, held))
            begin(made, held)
        for epoch in range(len(pairs[0][0].history())):
            for made, record in pairs:
                record.append(made.history()[epoch])
                tracker.update(record)
            time.sleep(EPOCH_SECONDS)
        for made, record in pairs:
            finish(made, record)
            tracker.update(record)
    return said


def begin(made: Record, record: Record) -> None:
    for name in FIRST:
        shutil.copy(made.directory / name, record.directory)
    record.write_status(replace(status_of(made), state="RUNNING", ended_ms=None, final=()))


def finish(made: Record, record: Record) -> None:
    for name in LAST:
        shutil.copy(made.directory / name, record.directory)
    record.write_status(status_of(made))


def status_of(record: Record) -> Status:
    status = record.status()
    assert status
    return status


def main(source: str, target: str, processes: int, runs: int) -> None:
    """All begin at once, with MLflow imported: sixteen imports take a minute of two cores."""
    import repro.tracking  # noqa: F401

    numbers = [list(range(p * runs, (p + 1) * runs)) for p in range(processes)]
    given = [(Path(source), Path(target), mine) for mine in numbers]
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        print("ready", flush=True)
        sys.stdin.readline()
        said = pool.starmap(play, given, chunksize=1)
    print(json.dumps([line for lines in said for line in lines]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
