"""Experiments in order of value, each in a process of its own, each a line of JSON at its end."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from repro.bench.gpu.catalogue import Experiment
from repro.bench.gpu.rules import Line
from repro.bench.gpu.run_one import NO_DEVICE
from repro.errors import UserError
from repro.files import append_line, make_directory

PATIENCE_SECONDS = 5.0  # from the request to end, which lets a process end its own, to its end
STDERR_LINES = 12
LEAST_SECONDS = 1.0  # a process needs more just to start


@dataclass(frozen=True, kw_only=True)
class Request:
    """What ``python -m repro.bench.gpu`` was asked for; ``seconds`` in all."""

    experiments: tuple[Experiment, ...]
    out: Path
    seconds: float
    rehearse: bool = False


def run(request: Request, tell: Callable[[str], None]) -> list[Line]:
    """Measure what is not in the file yet and fits; returns all lines of the file.

    Raises UserError where there is no GPU.
    """
    make_directory(request.out.absolute().parent)
    began = time.monotonic()
    for experiment in left_to_do(request, read(request.out)):
        left = request.seconds - (time.monotonic() - began)
        if experiment.budget_seconds > left:
            needed = f"its {experiment.budget_seconds:.0f} s do not fit in {max(left, 0):.0f} s"
            tell(f"{experiment.name} left out: {needed}")
            continue
        tell(f"{experiment.name} {experiment.title}, up to {experiment.budget_seconds:.0f} s")
        line = measure(experiment, request, min(experiment.timeout_seconds, left))
        append_line(request.out, json.dumps(line))
        tell(f"{experiment.name} {line['seconds']:.1f} s {line.get('error', '')}")
    return read(request.out)


def read(path: Path) -> list[Line]:
    """The file's lines; one that was cut off by a kill is no line."""
    found = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return found


def left_to_do(request: Request, lines: Sequence[Line]) -> list[Experiment]:
    """Those without a line first, then those that ended in an error."""
    mine = [line for line in lines if line["rehearsal"] == request.rehearse]
    done = {line["experiment"] for line in mine if "error" not in line}
    tried = {line["experiment"] for line in mine}
    left = [experiment for experiment in request.experiments if experiment.name not in done]
    return sorted(left, key=lambda experiment: experiment.name in tried)


def measure(experiment: Experiment, request: Request, timeout_seconds: float) -> Line:
    """The experiment's line: its rows, also those before an error."""
    with tempfile.TemporaryDirectory() as folder:
        rows, log = Path(folder) / "rows", Path(folder) / "log"
        began = time.monotonic()
        error = _run_process(experiment, request, (rows, log), timeout_seconds)
        line: Line = {
            "experiment": experiment.name,
            "title": experiment.title,
            "rehearsal": request.rehearse,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - began, 2),
            "rows": read(rows),
        }
        if error:
            tail = log.read_text(errors="replace").splitlines()[-STDERR_LINES:]
            line |= {"error": error, "stderr": tail}
        return line


def _run_process(
    experiment: Experiment, request: Request, files: tuple[Path, Path], timeout_seconds: float
) -> str:
    """An error in words, or nothing. Raises UserError where there is no GPU."""
    rows, log = files
    command = [sys.executable, "-m", "repro.bench.gpu.run_one", experiment.name]
    command += ["--rows", str(rows), "--seconds", str(experiment.budget_seconds)]
    command += ["--rehearse"] if request.rehearse else []
    environment = os.environ | experiment.environment
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that its own processes can be ended with it
        )
        try:
            code = process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return f"timed out after {timeout_seconds:.0f} s"
        finally:
            _end(process)
    if code == NO_DEVICE:
        raise UserError(log.read_text(errors="replace").strip().splitlines()[-1])
    return f"exit code {code}" if code else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and those that it started."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
