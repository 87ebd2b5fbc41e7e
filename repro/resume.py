"""Where an interrupted run goes on: the newest whole checkpoint that its history reaches."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from repro.records import Record
from repro.train import checkpoint


class Place(NamedTuple):
    """Where a run goes on: ``part`` batches of the ``epoch`` were trained on, in ``seconds``."""

    epoch: int = 0
    part: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class ResumePoint:
    """``next_epoch`` 0 and no state: from the start. ``next_part``: how many batches of it were
    trained on, in ``seconds``. ``note`` says what was found damaged."""

    next_epoch: int = 0
    state: dict[str, Tensor] | None = None
    note: str = ""
    next_part: int = 0
    seconds: float = 0.0


def resume_point(record: Record) -> ResumePoint:
    """Read the checkpoint, else the one before it, else start over, saying so.

    A history counts up to its first damaged line.
    """
    epochs = len(record.whole_lines())
    note = ""
    for path in (record.checkpoint, checkpoint.previous(record.checkpoint)):
        if not path.exists():
            continue
        try:
            state, place = _read(path, record.key)
        except checkpoint.DamagedCheckpoint as error:
            note = f"{error}; going on from the one before it"
            continue
        if place.epoch <= epochs:
            return ResumePoint(place.epoch, state, note, place.part, place.seconds)
        note = f"{path} is ahead of the history; going on from the one before it"
    if note:
        note = note.replace("going on from the one before it", "training this run again")
    return ResumePoint(note=note)


def _read(path: Path, key: str) -> tuple[dict[str, Tensor], Place]:
    state, meta = checkpoint.load(path)
    if meta.get("key") != key:
        raise checkpoint.DamagedCheckpoint(f"{path} belongs to another run")
    epoch, part = meta.get("next_epoch"), meta.get("next_part", 0)
    if type(epoch) is not int or type(part) is not int or min(epoch, part) < 0:
        raise checkpoint.DamagedCheckpoint(f"{path} is damaged: it says no epoch")
    seconds = meta.get("seconds", 0.0)
    return state, Place(epoch, part, seconds if isinstance(seconds, float) else 0.0)
