"""What a record says of its teacher's outputs."""

from pathlib import Path

from repro.spec import Run
from tests import tiny


def source(run: Run, directory: Path) -> str:
    return str(tiny.record(run, directory).read_json("environment.json")["teacher_outputs"])


def sources(runs: tuple[Run, ...], directory: Path) -> list[str]:
    return [source(run, directory) for run in runs]
