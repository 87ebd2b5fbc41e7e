"""Two students and their teacher, trained in a runs directory."""

from pathlib import Path

from repro.records import Records
from repro.spec import Run, key
from repro.train import checkpoint
from tests import tiny

RUNS = (tiny.TEACHER, tiny.run("kd"), tiny.run("cmkd"))
STUDENTS = RUNS[1:]
TICKS_AN_EPOCH = tiny.STEPS + 1  # one evaluated batch for all


def states(directory: Path, runs: tuple[Run, ...] = STUDENTS) -> list[str | None]:
    return [Records(directory).state(key(run)) for run in runs]


def assert_goes_on_to_the_same(directory: Path, finished: Path) -> None:
    tiny.train(RUNS, directory)
    assert tiny.results(RUNS, directory) == tiny.results(RUNS, finished)


def next_epochs(directory: Path) -> list[int]:
    """Where the checkpoints of the students stand; 0 without one."""
    paths = [tiny.record(run, directory).checkpoint for run in STUDENTS]
    metas = [checkpoint.load(path)[1] if path.exists() else {"next_epoch": 0} for path in paths]
    return [int(str(meta["next_epoch"])) for meta in metas]
