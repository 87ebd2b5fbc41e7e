"""The teacher bank: what it holds, how it is made, resumed and refused."""

import os
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from repro.data.augment import num_views
from repro.data.batches import batches, take
from repro.errors import UserError
from repro.outputs import Batch, Outputs
from repro.train import bank as banks
from repro.train.bank import Bank, BankTeacher, NoBank, check_room, fill, one_view
from repro.train.cohort import train_cohort
from repro.train.step import EagerStep, RecordedStep
from tests import tiny
from tests.train.banks import Case, cifar, digits, make, quick
from tests.train.tape import Log

CASES: dict[str, Callable[[], Case]] = {
    "crop-flip": cifar,
    "crop": lambda: digits("crop"),
    "none": lambda: digits("none"),
}
HALF_ROUNDING = 2.0**-11


def one_image(batch: Batch, i: int) -> Batch:
    tensors = (batch.images, batch.labels, batch.indices, batch.views)
    return Batch(*(tensor[i : i + 1] for tensor in tensors))


@pytest.mark.parametrize("augment", CASES)
def test_a_view_shows_the_bytes_that_training_sees(augment: str) -> None:
    case, seen = CASES[augment](), set()
    for epoch in range(2):
        for batch in batches(case.images, case.stream, trial=1, epoch=epoch):
            for one in (one_image(batch, i) for i in range(len(batch.labels))):
                number = int(one.views)
                seen.add(number)
                shown = take(case.images, one_view(one.indices, number, case.stream.augment))
                assert torch.equal(shown.images, one.images)
                assert torch.equal(shown.labels, one.labels)
                assert torch.equal(shown.views, one.views)
    assert len(seen) > min(20, num_views(case.stream.augment) - 1)


@pytest.mark.parametrize("augment", CASES)
def test_the_bank_answers_as_the_live_teacher_within_half_precision(
    augment: str, tmp_path: Path
) -> None:
    case = CASES[augment]()
    bank = case.bank(tmp_path)
    table, made = make(case, bank)
    assert made == num_views(case.stream.augment) == {"crop-flip": 162, "crop": 81}.get(augment, 1)
    assert table.dtype == torch.float16
    teacher, spread = BankTeacher(table), []
    for epoch in range(2):
        for batch in batches(case.images, case.stream, trial=1, epoch=epoch):
            live, found = case.teacher(batch).logits, teacher(batch).logits
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, live, rtol=1.01 * HALF_ROUNDING, atol=1e-5)
            spread.append(live.std().item())
    assert min(spread) > 0.1  # the logits are no constants


def test_a_view_is_rounded_once(tmp_path: Path) -> None:
    case = digits("none")
    bank = case.bank(tmp_path)
    table, _ = make(case, bank)
    everything = take(case.images, one_view(torch.arange(70), 0, "none"))
    assert torch.equal(table[0], case.teacher(everything).logits.half())
    assert torch.equal(table[0], bank.load(0))


def test_a_bank_is_read_and_not_made_again(tmp_path: Path) -> None:
    case = quick()
    bank = case.bank(tmp_path)
    first, made = make(case, bank)
    assert (made, bank.missing()) == (81, 0)
    assert bank.bytes_a_view == 2 * first[0].numel()

    def no_teacher() -> None:
        raise AssertionError("there is nothing left to ask")

    second, made = make(case, bank, make_teacher=no_teacher)
    assert made == 0
    assert torch.equal(first, second)


def test_an_interrupted_bank_goes_on_where_it_stopped(tmp_path: Path) -> None:
    case = quick()
    bank, whole = case.bank(tmp_path), case.bank(tmp_path / "whole")
    expected, _ = make(case, whole)
    with pytest.raises(TimeoutError):  # two ticks a view: before it, and before its one batch
        make(case, bank, tick=tiny.Ticks(2 * 30 + 2, TimeoutError()))
    assert bank.missing() == 81 - 30
    ticks = tiny.Ticks()
    table, made = make(case, bank, tick=ticks)
    assert made == 81 - 30
    assert ticks.count == 81 + (81 - 30)
    assert torch.equal(table, expected)
    assert bank.missing() == 0


def test_processes_begin_far_from_each_other() -> None:
    for process in (1, 1000, 4321):
        firsts = []
        for other in range(process, process + 8):
            numbers = list(banks.order(162, other))
            assert sorted(numbers) == list(range(162))
            firsts.append(numbers[0])
        distances = [abs(a - b) for i, a in enumerate(firsts) for b in firsts[:i]]
        assert min(min(d, 162 - d) for d in distances) >= 162 // 16
    assert list(banks.order(1, 77)) == [0]


def test_processes_that_fill_one_bank_share_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = quick()
    bank, made = case.bank(tmp_path), [0, 0]
    tables = [torch.empty(bank.shape, dtype=torch.float16) for _ in made]
    fillings = [
        fill(table, bank, case.images, make_teacher=lambda: case.teacher) for table in tables
    ]
    for _ in range(81):
        for process, filling in enumerate(fillings):
            monkeypatch.setattr(os, "getpid", lambda process=process: 100 + process)
            made[process] += next(filling)
    assert sum(made) == 81
    assert min(made) > 25
    assert torch.equal(*tables)


def test_tick_runs_before_each_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(banks.BATCH_SIZE, "cpu", 20)
    case, ticks = digits("none"), tiny.Ticks()
    make(case, case.bank(tmp_path), tick=ticks)
    assert ticks.count == 1 + 4  # 70 images in batches of 20


def truncated(bank: Bank, _other: Bank) -> None:
    path = bank.path(3)
    path.write_bytes(path.read_bytes()[:-5])


def flipped(bank: Bank, _other: Bank) -> None:
    content = bytearray(bank.path(3).read_bytes())
    content[-1] ^= 1
    bank.path(3).write_bytes(content)


def of_another_bank(bank: Bank, other: Bank) -> None:
    shutil.copy(other.path(3), bank.path(3))


def another_view(bank: Bank, _other: Bank) -> None:
    shutil.copy(bank.path(4), bank.path(3))


def of_other_images(bank: Bank, _other: Bank) -> None:
    bank.save(3, torch.zeros(1, 2).half())


@pytest.mark.parametrize(
    "damage", [truncated, flipped, of_another_bank, another_view, of_other_images]
)
def test_a_damaged_or_foreign_view_is_told_and_made_again(
    tmp_path: Path, damage: Callable[[Bank, Bank], None]
) -> None:
    case = quick()
    bank, other = case.bank(tmp_path), case.bank(tmp_path, precision="bf16")
    expected, _ = make(case, bank)
    make(case, other)
    damage(bank, other)
    lines: list[str] = []
    table, made = make(case, bank, line=lines.append)
    assert made == 1
    assert torch.equal(table, expected)
    assert len(lines) == 1
    assert str(bank.path(3)) in lines[0]
    assert lines[0].endswith("; it is made again")
    assert make(case, bank)[1] == 0
    names = {f"view_{number}" for number in range(81)}
    assert {path.name for path in bank.path(0).parent.iterdir()} == names


@pytest.mark.parametrize("logit", [7e4, float("nan"), float("-inf")])
def test_logits_that_float16_cannot_hold_are_an_error(tmp_path: Path, logit: float) -> None:
    case = digits("none")
    bank = case.bank(tmp_path)

    def teacher(batch: Batch) -> Outputs:
        return Outputs(
            torch.full((len(batch.labels), 10), 65504.0).index_fill(1, torch.tensor([7]), logit)
        )

    with pytest.raises(NoBank, match="logits beyond 65504"):
        make(case, bank, make_teacher=lambda: teacher)
    assert bank.missing() == 1


def test_the_largest_half_is_held(tmp_path: Path) -> None:
    case = digits("none")
    teacher = lambda batch: Outputs(torch.full((len(batch.labels), 10), -65504.0))  # noqa: E731
    table, _ = make(case, case.bank(tmp_path), make_teacher=lambda: teacher)
    assert table.unique().tolist() == [-65504.0]


def test_the_key_is_all_that_the_logits_depend_on(tmp_path: Path) -> None:
    bank = quick().bank(tmp_path)
    assert len(bank.key) == 64
    assert replace(bank, root=tmp_path / "elsewhere").key == bank.key
    others = [
        replace(bank, **{name: value})
        for name, value in {
            "teacher": "other",
            "weights": "other",
            "images": "other",
            "augment": "none",
            "precision": "bf16",
        }.items()
    ]
    assert len({bank.key, *(other.key for other in others)}) == 6
    # What has no part in the key follows from what has one, or is a place.
    places = {"root", "num_images", "num_classes"}
    depends = ("teacher", "weights", "images", "augment", "precision")
    assert {field.name for field in fields(Bank)} == {*places, *depends}


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """The free bytes of "disk" and "memory", as much as is set."""
    left = {"disk": 1 << 60, "memory": 1 << 60}
    monkeypatch.setattr(banks, "free_disk_bytes", lambda _: left["disk"])
    monkeypatch.setattr(banks, "free_memory_bytes", lambda _: left["memory"])
    return left


@pytest.mark.parametrize(
    ("place", "margin"),
    [("disk", banks.DISK_MARGIN_BYTES), ("memory", banks.MEMORY_MARGIN_BYTES["cpu"])],
)
def test_a_bank_needs_its_bytes_and_leaves_a_margin(
    tmp_path: Path, free: dict[str, int], place: str, margin: int
) -> None:
    bank = cifar().bank(tmp_path, num_images=50_000, num_classes=100)
    free[place] = 162 * 50_000 * 100 * 2 + margin
    check_room(bank, tiny.CPU)
    free[place] -= 1
    where = str(tmp_path) if place == "disk" else "cpu memory"
    with pytest.raises(NoBank) as error:
        check_room(bank, tiny.CPU)
    assert str(error.value) == (
        f"the teacher bank needs 1.62 GB of {where} and leaves 2.1 GB free, "
        "but 3.77 GB are free; --teacher live does without a bank"
    )
    assert isinstance(error.value, UserError)


def test_a_bank_that_is_there_needs_no_disk(tmp_path: Path, free: dict[str, int]) -> None:
    case = quick()
    bank = case.bank(tmp_path)
    make(case, bank)
    free["disk"] = 0
    check_room(bank, tiny.CPU)
    bank.path(5).unlink()
    free["disk"] = banks.DISK_MARGIN_BYTES + bank.bytes_a_view
    check_room(bank, tiny.CPU)
    free["disk"] -= 1
    with pytest.raises(NoBank):
        check_room(bank, tiny.CPU)


def test_free_space_is_what_the_machine_says(tmp_path: Path) -> None:
    assert 0 <= banks.free_disk_bytes(tmp_path) <= shutil.disk_usage(tmp_path).total
    assert banks.free_memory_bytes(tiny.CPU) > 0


def test_a_recorded_cohort_reads_the_bank_without_waiting(tmp_path: Path) -> None:
    """The tape stands in for a CUDA graph: it refuses whatever reads a value."""
    case = quick()
    table, _ = make(case, case.bank(tmp_path))
    eager, replayed = tiny.student(tiny.run("kd")), tiny.student(tiny.run("kd"))
    steps = (
        EagerStep(BankTeacher(table), case.images),
        RecordedStep(BankTeacher(table), case.images, Log().lane),
    )
    metrics = [
        [report.metrics for report in train_cohort([student], step, tiny.cohort_data(), 1)]
        for student, step in zip((eager, replayed), steps, strict=True)
    ]
    assert metrics[0] == metrics[1]
    assert tiny.same(eager.state(), replayed.state())
