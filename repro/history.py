"""Histories read in part: the epochs since the last reading, or the metrics as columns.

``Record.history`` reads and checks everything; what is read after every epoch, or for 2,000 runs,
comes from here. A damaged line is told in that function's words.
"""

import json
import os
from dataclasses import dataclass
from typing import Any

from repro.records import MALFORMED, Record

Entry = dict[str, Any]


@dataclass(frozen=True)
class Position:
    """How far a history was read: ``offset`` bytes, which are ``epochs`` whole lines."""

    offset: int = 0
    epochs: int = 0
    inode: int = 0  # a history that is cut is replaced by another file


START = Position()


def read_on(record: Record, since: Position = START) -> tuple[list[Entry], Position]:
    """The entries after ``since`` and where they end; all of them if the file was cut or replaced.

    Another thread may be writing: a torn last line is left for the next call. Raises UserError for
    a damaged line.
    """
    try:
        with (record.directory / "history.jsonl").open("rb") as file:
            found = os.fstat(file.fileno())
            if found.st_ino != since.inode or found.st_size < since.offset:
                since = START
            file.seek(since.offset)
            data = file.read()
    except FileNotFoundError:
        return [], START
    except OSError:
        record.history()  # raises, with the way out
        raise
    whole = data[: data.rfind(b"\n") + 1]
    entries = _parsed(whole.split(b"\n")[:-1], since.epochs)
    if entries is not None:
        end = since.offset + len(whole)
        return entries, Position(end, since.epochs + len(entries), found.st_ino)
    if since == START:
        record.history()  # raises: it says which line is damaged
    return read_on(record)  # the file is another one under an old inode


def _parsed(lines: list[bytes], epoch: int) -> list[Entry] | None:
    """The lines as entries from ``epoch`` on; None if a line is not the next epoch's.

    As one list: a call of json a line takes 2.5 times as long.
    """
    try:
        entries = json.loads(b"[" + b",".join(lines) + b"]")
        if [entry["epoch"] for entry in entries] != list(range(epoch, epoch + len(lines))):
            return None
        return entries if all(isinstance(entry["metrics"], dict) for entry in entries) else None
    except MALFORMED:
        return None
