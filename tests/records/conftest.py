from pathlib import Path

import pytest

from repro.records import Record, Records
from repro.spec import key
from tests.records.made import RUN, TAGS, entry


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A record with three epochs."""
    made = Records(tmp_path).of(key(RUN))
    made.create(RUN, TAGS)
    for epoch in range(3):
        made.append(entry(epoch))
    return made


@pytest.fixture
def history(record: Record) -> Path:
    return record.directory / "history.jsonl"
