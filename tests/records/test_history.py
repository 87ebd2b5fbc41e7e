"""One line an epoch, torn and damaged ones too."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import UserError
from repro.records import Record
from tests.records.made import AGAIN, entry


def test_history_is_one_entry_an_epoch_with_exact_numbers(record: Record) -> None:
    assert record.history() == [entry(0), entry(1), entry(2)]


def test_no_history_is_empty(tmp_path: Path) -> None:
    assert Record(tmp_path).history() == []


def test_a_history_cut_at_any_byte_of_its_last_line_has_the_lines_before(
    record: Record, history: Path
) -> None:
    content = history.read_bytes()
    start = content.rindex(b"\n", 0, -1) + 1
    for end in range(start, len(content)):
        history.write_bytes(content[:end])
        assert record.history() == [entry(0), entry(1)], end


def test_a_torn_line_goes_when_the_history_is_cut(record: Record, history: Path) -> None:
    with history.open("ab") as file:
        file.write(b'{"epoch": 3, "met')
    record.cut_history(3)
    record.append(entry(3))
    assert record.history() == [entry(0), entry(1), entry(2), entry(3)]


@pytest.mark.parametrize("line", [0, 1, 2])
@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"17",
        b"null",
        b"[0]",
        b'{"metrics": {}}',
        b'{"epoch": 9, "metrics": {}}',
        b'{"epoch": 0}',
        b'{"epoch": 0, "metrics": 3}',
    ],
)
def test_a_damaged_whole_line_is_told_by_its_number(
    record: Record, history: Path, line: int, damaged: bytes
) -> None:
    lines = history.read_bytes().splitlines()
    lines[line] = damaged
    history.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(UserError) as caught:
        record.history()
    expected = f"{history} line {line + 1} is damaged; remove {record.directory} {AGAIN}"
    assert str(caught.value) == expected


@settings(deadline=None)  # a busy machine is no failure
@given(content=st.binary(max_size=200))
def test_no_content_of_a_history_is_a_traceback(content: bytes, tmp_path_factory) -> None:
    directory = tmp_path_factory.getbasetemp() / "any-history"
    directory.mkdir(exist_ok=True)
    (directory / "history.jsonl").write_bytes(content)
    whole = content.count(b"\n")
    if whole == 0:
        assert Record(directory).history() == []
    else:  # random bytes are no epochs
        with pytest.raises(UserError, match=r"line \d+ is damaged"):
            Record(directory).history()


def test_a_missing_epoch_is_told(record: Record) -> None:
    record.append(entry(4))
    with pytest.raises(UserError, match="line 4 is damaged"):
        record.history()


def test_a_history_that_cannot_be_read_is_told(record: Record, history: Path) -> None:
    history.unlink()
    history.mkdir()
    with pytest.raises(UserError, match=r"jsonl cannot be read \(Is a directory\): see to it"):
        record.history()


@pytest.mark.parametrize("epochs", [0, 1, 2, 3, 9])
def test_cutting_keeps_the_first_epochs_to_the_byte(
    record: Record, history: Path, epochs: int
) -> None:
    before = history.read_bytes().splitlines(keepends=True)
    record.cut_history(epochs)
    assert history.read_bytes() == b"".join(before[:epochs])
