"""E12: the same students spread over processes, without MPS and with it where it starts."""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from repro.bench.gpu.device import cudnn
from repro.bench.gpu.lab import Lab, Row
from repro.bench.gpu.students import make_bench

STUDENTS = 8  # in all
PROCESSES = (1, 2, 4)
MEASURED_SECONDS = 3.0
START_SECONDS = 40.0  # a process that is not ready by then has failed
CONTROL = "nvidia-cuda-mps-control"
CHILD = "repro.bench.gpu.experiments.processes"


def measure(lab: Lab) -> None:
    if lab.device.rehearsal:
        with tempfile.TemporaryDirectory() as folder:
            labels = {"processes": 1, "mps": False}
            lab.row(labels, partial(child, lab, 1, Path(folder), ready_at=1))
        return
    for processes in PROCESSES:
        lab.row({"processes": processes, "mps": False}, partial(together, processes, {}))
    for processes in PROCESSES[1:]:
        lab.row({"processes": processes, "mps": True}, partial(with_mps, processes))


def with_mps(processes: int) -> Row:
    with mps() as environment:
        return together(processes, environment)


@contextmanager
def mps() -> Iterator[dict[str, str]]:
    """CUDA's multi-process server in a folder of its own. Raises OSError where it is missing."""
    with tempfile.TemporaryDirectory() as folder:
        added = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        environment = os.environ | added
        started = [CONTROL, "-d"]
        subprocess.run(started, env=environment, check=True, timeout=10, capture_output=True)
        try:
            yield added
        finally:
            quit_server = {"input": "quit\n", "text": True, "timeout": 20, "env": environment}
            subprocess.run([CONTROL], check=False, capture_output=True, **quit_server)  # type: ignore[call-overload]


def together(processes: int, added: dict[str, str]) -> Row:
    """Steps of a student a second, over all processes, which begin at once."""
    count = STUDENTS // processes
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", CHILD, str(count), folder, str(processes)]
        running = [
            subprocess.Popen(command, env=os.environ | added, stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        try:
            texts = [process.communicate(timeout=2 * START_SECONDS)[0] for process in running]
        finally:
            for process in running:
                process.kill()
    rows = [json.loads(text.splitlines()[-1]) for text in texts]
    return {
        "students": STUDENTS,
        "student_steps_per_second": sum(row["student_steps_per_second"] for row in rows),
        "each": rows,
    }


def child(lab: Lab, count: int, folder: Path, ready_at: int) -> Row:
    """Students on their lanes for some seconds, begun when ``ready_at`` processes are ready."""
    bench = make_bench(lab)
    with cudnn(benchmark=True):
        run = bench.lanes(bench.students(count))
    run(2)
    lab.device.synchronize()
    wait_for_others(folder, ready_at)
    steps, began = 0, time.perf_counter()
    seconds = 0.0 if lab.device.rehearsal else MEASURED_SECONDS
    while steps == 0 or time.perf_counter() - began < seconds:
        run(lab.sizes.replays // 2)
        lab.device.synchronize()
        steps += lab.sizes.replays // 2
    return {"student_steps_per_second": count * steps / (time.perf_counter() - began)}


def wait_for_others(folder: Path, ready_at: int) -> None:
    (folder / str(os.getpid())).touch()
    began = time.monotonic()
    while len(list(folder.iterdir())) < ready_at:
        if time.monotonic() - began > START_SECONDS:
            raise TimeoutError("the other processes did not get ready")
        time.sleep(0.002)


def main() -> None:
    from repro.bench.gpu.device import Cuda

    count, folder, ready_at = sys.argv[1:]
    lab = Lab(device=Cuda(), out=io.StringIO())
    print(json.dumps(child(lab, int(count), Path(folder), int(ready_at))))


if __name__ == "__main__":
    main()
