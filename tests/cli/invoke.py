"""Commands as they are typed, and what is told when they are wrong."""

from pathlib import Path

import torch
from click.testing import CliRunner, Result

from repro import cli
from repro.grid import expand
from repro.profiles import PROFILES
from repro.records import Record, Records, State, Status
from repro.spec import Run, key
from repro.train import checkpoint

DEMO = expand("demo", PROFILES["demo"])
EPOCHS = DEMO[0].stream.epochs


def repro(*words: str | Path) -> Result:
    return CliRunner().invoke(cli.main, [str(word) for word in words])


def files(directory: Path) -> dict[str, bytes]:
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_bytes() for path in paths}


def error_of(result: Result) -> str:
    """The one line that starts with "error: "."""
    assert result.exit_code == 2, result.output
    assert isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("error: ")]
    assert result.output.endswith(line + "\n")  # nothing follows it
    return line.removeprefix("error: ")


def usage_error_of(result: Result) -> str:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    lines = result.output.splitlines()
    assert lines[0].startswith("Usage: ")
    assert lines[-1].startswith("Error: ")
    return lines[-1].removeprefix("Error: ")


def begin(run: Run, runs_dir: Path, state: State = "STOPPED", epochs: int = 2) -> Record:
    """A record as training leaves it after some epochs."""
    record = Records(runs_dir).of(key(run))
    record.create(run, {})
    for epoch in range(epochs):
        record.append({"epoch": epoch, "metrics": {"test/top1": 50.0}})
    save(record, epochs, record.key)
    record.write_status(Status(state=state, started_ms=1, ended_ms=2, reason="as asked"))
    return record


def save(record: Record, next_epoch: int, of: str) -> None:
    meta: dict[str, object] = {"key": of, "next_epoch": next_epoch}
    checkpoint.save(record.checkpoint, {"x": torch.zeros(1)}, meta)
