"""Histories read in part: each line once, and right whatever happens to the file meanwhile."""

import json
from pathlib import Path

import pytest

from repro import history
from repro.errors import UserError
from repro.history import START, Position, read_on
from repro.records import Record


def entry(epoch: int, **metrics: float) -> dict[str, object]:
    return {"epoch": epoch, "metrics": {"test/top1": 50.0 + epoch} | metrics}


@pytest.fixture
def record(tmp_path: Path) -> Record:
    kept = Record(tmp_path)
    for epoch in range(3):
        kept.append(entry(epoch))
    return kept


def epochs(read: tuple[list[dict[str, object]], Position]) -> list[object]:
    return [found["epoch"] for found in read[0]]


def test_only_what_is_new_is_read(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    first, position = read_on(record)
    assert first == record.history()
    record.append(entry(3))
    parsed: list[bytes] = []
    loads = json.loads
    monkeypatch.setattr(history.json, "loads", lambda text: parsed.append(text) or loads(text))
    entries, position = read_on(record, position)
    assert entries == [entry(3)]
    assert read_on(record, position) == ([], position)
    assert position.epochs == 4
    assert b"".join(parsed).count(b"metrics") == 1


def test_a_torn_last_line_waits_for_its_end(record: Record) -> None:
    position = read_on(record)[1]
    line = json.dumps(entry(3)) + "\n"
    path = record.directory / "history.jsonl"
    for part, expected in ((line[:10], []), (line[10:-1], []), (line[-1:], [3])):
        with path.open("a") as file:
            file.write(part)
        read = read_on(record, position)
        assert epochs(read) == expected
        position = read[1]


def test_a_history_that_was_cut_is_read_anew(record: Record) -> None:
    position = read_on(record)[1]
    record.cut_history(1)
    assert epochs(read_on(record, position)) == [0]
    for epoch in range(1, 6):  # longer than before
        record.append(entry(epoch))
    assert epochs(read_on(record, position)) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("more", [0, 1, 9])
def test_a_history_begun_anew_under_the_old_inode_is_noticed(record: Record, more: int) -> None:
    """A file system gives the number of a removed file to the next one."""
    position = read_on(record)[1]
    lines = [json.dumps(entry(epoch, longer=1.5)) + "\n" for epoch in range(3 + more)]
    (record.directory / "history.jsonl").write_text("".join(lines))  # the same inode
    assert epochs(read_on(record, position)) == list(range(3 + more))


def test_no_history_is_no_entries(tmp_path: Path) -> None:
    assert read_on(Record(tmp_path)) == ([], START)
    assert read_on(Record(tmp_path), Position(10, 1, 2)) == ([], START)


@pytest.mark.parametrize("line", ["{}", "", "nonsense", '{"epoch": 7, "metrics": {}}', "[1]"])
def test_damage_is_told_in_the_records_words(record: Record, line: str) -> None:
    position = read_on(record)[1]
    with (record.directory / "history.jsonl").open("a") as file:
        file.write(line + "\n")
    for since in (START, position):
        with pytest.raises(UserError, match=r"line 4 is damaged; remove .* to train this run"):
            read_on(record, since)


def test_a_history_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "history.jsonl").mkdir()
    with pytest.raises(UserError, match=r"history\.jsonl cannot be read"):
        read_on(Record(tmp_path))
