"""An interrupted run goes on from the newest whole checkpoint that its history reaches."""

from pathlib import Path

import pytest
import torch

from repro.losses import KD
from repro.records import Record, Records
from repro.resume import ResumePoint, resume_point
from repro.spec import Optim, Run, Stream, key
from repro.train import checkpoint

RUN = Run(network="resnet8", loss=KD(), stream=Stream(), optim=Optim())


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Five epochs of history, checkpoints after three and five."""
    made = Records(tmp_path).of(key(RUN))
    made.create(RUN, {})
    for epoch in range(5):
        made.append({"epoch": epoch, "metrics": {}})
    save(made, 3)
    save(made, 5)
    return made


def save(record: Record, next_epoch: int, of: str = "") -> None:
    meta: dict[str, object] = {"key": of or record.key, "next_epoch": next_epoch}
    checkpoint.save(record.checkpoint, {"epoch": torch.tensor(next_epoch)}, meta)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def found(record: Record) -> tuple[int, int | None, str]:
    """Next epoch, the epoch that the state was saved with, the note."""
    point = resume_point(record)
    return point.next_epoch, int(point.state["epoch"]) if point.state else None, point.note


def test_the_newest_checkpoint_is_taken(record: Record) -> None:
    assert found(record) == (5, 5, "")


def test_without_any_checkpoint_a_run_starts_over_silently(record: Record) -> None:
    for path in (record.checkpoint, checkpoint.previous(record.checkpoint)):
        path.unlink()
    assert resume_point(record) == ResumePoint(0, None, "")


def test_a_new_run_starts_at_epoch_0(tmp_path: Path) -> None:
    assert resume_point(Record(tmp_path / "new")) == ResumePoint(0, None, "")


def test_a_kill_between_the_two_renames_of_a_save_costs_nothing(record: Record) -> None:
    """The old checkpoint is already the previous one, the new one has no name yet."""
    record.checkpoint.replace(checkpoint.previous(record.checkpoint))
    assert found(record) == (5, 5, "")


def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(record: Record) -> None:
    damage(record.checkpoint)
    epoch, state, note = found(record)
    assert (epoch, state) == (3, 3)
    assert str(record.checkpoint) in note
    assert note.endswith("; going on from the one before it")


def test_two_damaged_checkpoints_start_over_and_say_so(record: Record) -> None:
    damage(record.checkpoint)
    damage(checkpoint.previous(record.checkpoint))
    epoch, state, note = found(record)
    assert (epoch, state) == (0, None)
    assert note.endswith("; training this run again")
    assert "going on" not in note


def test_a_damaged_checkpoint_without_a_previous_one_starts_over(record: Record) -> None:
    checkpoint.previous(record.checkpoint).unlink()
    damage(record.checkpoint)
    epoch, state, note = found(record)
    assert (epoch, state) == (0, None)
    assert note.endswith("; training this run again")


def test_a_checkpoint_ahead_of_the_history_is_not_used(record: Record) -> None:
    record.cut_history(4)
    epoch, state, note = found(record)
    assert (epoch, state) == (3, 3)
    assert note == f"{record.checkpoint} is ahead of the history; going on from the one before it"


def test_checkpoints_that_are_both_ahead_of_the_history_start_over(record: Record) -> None:
    record.cut_history(2)
    epoch, state, note = found(record)
    assert (epoch, state) == (0, None)
    assert note.endswith("is ahead of the history; training this run again")


def test_a_history_ahead_of_the_checkpoint_does_not_matter(record: Record) -> None:
    record.append({"epoch": 5, "metrics": {}})
    assert found(record) == (5, 5, "")


def test_a_torn_last_line_of_history_does_not_count(record: Record) -> None:
    history = record.directory / "history.jsonl"
    history.write_bytes(history.read_bytes()[:-1])
    assert found(record)[:2] == (3, 3)


def test_a_checkpoint_of_another_run_gives_way_to_the_one_before(record: Record) -> None:
    save(record, 2)
    save(record, 5, of="f" * 64)
    point = resume_point(record)
    assert point.next_epoch == 2
    assert point.note.startswith(f"{record.checkpoint} belongs to another run; going on from")


def test_a_history_counts_up_to_its_first_damaged_line(record: Record) -> None:
    save(record, 1)
    save(record, 2)
    history = record.directory / "history.jsonl"
    history.write_bytes(history.read_bytes().replace(b'"epoch": 1', b'"epoch": 7'))
    assert resume_point(record).next_epoch == 1
