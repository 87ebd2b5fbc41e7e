"""``python -m tests.execute.forever DIRECTORY``: two workers train for ever, for a test to kill."""

import sys
from dataclasses import replace
from pathlib import Path

from repro.execute.local import local
from repro.planned import waves_of
from repro.records import Records
from tests import tiny

RUNS = tuple(
    replace(tiny.TEACHER, stream=replace(tiny.STREAM, epochs=10_000), trial=trial)
    for trial in (0, 1)
)

if __name__ == "__main__":
    directory = Path(sys.argv[1])
    waves, _ = waves_of(RUNS, Records(directory), 8)
    local(waves, tiny.runtime(directory), [tiny.CPU] * 2)
