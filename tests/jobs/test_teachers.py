"""Live or looked up: what is chosen, when it falls back, and what stays in memory."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from repro import teachers
from repro.errors import UserError
from repro.losses import KD
from repro.outputs import Batch, Outputs
from repro.plan import BANK_MARGIN_PASSES, Cohort
from repro.records import Records
from repro.spec import Run, key
from repro.train import bank as banks
from repro.train.bank import NoBank
from repro.train.teacher import no_teacher
from tests import tiny
from tests.jobs.sources import sources
from tests.jobs.students import STUDENTS

STILL = replace(tiny.STREAM, augment="none")  # one view: a bank that small runs can pay


def still(trial: int, **changes: Any) -> Run:
    return replace(tiny.run("kd", stream=STILL, trial=trial), **changes)


FEW, ENOUGH = tuple(map(still, range(3))), tuple(map(still, range(4)))  # 9 and 12 passes


def test_auto_makes_a_bank_that_pays_once_for_all_cohorts(directory: Path) -> None:
    assert 3 * len(FEW) == 1 + BANK_MARGIN_PASSES < 3 * len(ENOUGH)
    progress = tiny.Progress()
    tiny.train(ENOUGH, directory, progress=progress)
    assert sources(ENOUGH, directory) == ["bank"] * 4
    told = [line for line in progress.lines if "bank" in line]
    assert len(told) == 2  # four cohorts, one table
    assert told[0] == "teacher bank of resnet8: 1 views of 70 images, 1 to make"
    assert told[1].startswith("teacher bank of resnet8: made (1 views) in ")


def test_auto_runs_the_teacher_where_a_bank_does_not_pay(directory: Path) -> None:
    tiny.train(FEW, directory)
    assert sources(FEW, directory) == ["live"] * 3
    assert not (directory / "banks").exists()


def test_auto_uses_a_bank_that_is_there(directory: Path) -> None:
    tiny.train(FEW[:1], directory, teacher="bank")
    progress = tiny.Progress()
    tiny.train(FEW[:2], directory, progress=progress)
    assert sources(FEW[:2], directory) == ["bank", "bank"]
    assert "resnet8: read in " in progress.lines[-1]


def test_live_is_live_even_beside_a_bank(directory: Path) -> None:
    tiny.train(FEW[:1], directory, teacher="bank")
    tiny.train(ENOUGH, directory, teacher="live")
    assert sources(ENOUGH, directory) == ["bank", "live", "live", "live"]


@dataclass(frozen=True, kw_only=True)
class Hint:
    """KD, and the distance between the mean features."""

    uses_features = True
    ce_weight: float = 0.1

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        means = [outputs.features[-1].mean(dim=(2, 3)) for outputs in (student, teacher)]
        return KD()(student, teacher, batch) | {"hint": F.mse_loss(*means)}


def test_only_losses_that_need_features_keep_the_live_teacher(directory: Path) -> None:
    hint, kd = still(0, loss=Hint(), method="hint"), still(0)
    tiny.train((still(7),), directory, teacher="bank")
    tiny.train((hint, kd, still(1)), directory)
    assert sources((hint, kd, still(1)), directory) == ["live", "bank", "bank"]
    assert "train/hint" in tiny.record(hint, directory).history()[0]["metrics"]


def test_a_forced_bank_refuses_features_before_anything_is_trained(directory: Path) -> None:
    runs = (tiny.run("kd"), replace(tiny.run(trial=2), loss=Hint(), method="hint"))
    with pytest.raises(UserError, match="hint learns from the teacher's features, but a bank"):
        tiny.train(runs, directory, teacher="bank")
    assert [Records(directory).state(key(run)) for run in runs] == [None, None]
    assert not (directory / "banks").exists()


@pytest.mark.parametrize("place", ["free_disk_bytes", "free_memory_bytes"])
def test_without_room_auto_is_live_and_a_forced_bank_is_an_error(
    directory: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(banks, place, lambda _: 10**9)
    progress = tiny.Progress()
    tiny.train(ENOUGH, directory, progress=progress)
    assert sources(ENOUGH, directory) == ["live"] * 4
    assert progress.lines[0].startswith("the teacher bank needs 0.00 GB of ")
    assert progress.lines[0].endswith("1.00 GB are free: the teacher runs live")
    with pytest.raises(NoBank, match=r"1\.00 GB are free; --teacher live does without a bank"):
        tiny.train((still(9),), directory, teacher="bank")


def test_out_of_memory_while_the_bank_is_made_falls_back_too(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_much(*_given: Any) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(teachers, "empty_table", too_much)
    progress = tiny.Progress()
    tiny.train(ENOUGH, directory, progress=progress)
    assert sources(ENOUGH, directory) == ["live"] * 4
    assert "the memory of cpu is too small for a teacher bank: the teacher" in progress.lines[1]


def test_logits_beyond_half_precision_fall_back_and_are_told(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = tiny.Runtime.load_finished

    def sharp(self: tiny.Runtime, run: Run) -> torch.nn.Module:
        model = load(self, run)
        torch.nn.init.constant_(model.classifier.bias, 1e5)
        return model

    monkeypatch.setattr(tiny.Runtime, "load_finished", sharp)
    progress = tiny.Progress()
    tiny.train(ENOUGH[:1], directory, progress=progress)  # does not pay: nothing is tried
    assert progress.lines == []
    tiny.train((*ENOUGH[1:], still(5)), directory, progress=progress)
    assert "logits beyond 65504, which its bank cannot hold: the teacher runs" in progress.lines[1]
    assert sources(ENOUGH, directory) == ["live"] * 4
    with pytest.raises(NoBank):
        tiny.train((still(9),), directory, teacher="bank")


def test_a_cohort_with_nothing_left_asks_no_teacher(tmp_path: Path) -> None:
    data, cohort = tiny.cohort_data(), Cohort(STUDENTS, first_epoch=3)
    runtime = tiny.runtime(tmp_path, teacher="bank")
    assert teachers.teacher_for(cohort, runtime, data) == (no_teacher, "none")
    record = tiny.record(STUDENTS[0], tmp_path)
    record.create(STUDENTS[0], {})
    record.write_json("environment.json", {"teacher_outputs": "bank"})
    assert teachers.outputs_word(STUDENTS[0], cohort, "none", runtime) == "bank"


def test_only_the_bank_of_one_teacher_is_kept_in_memory(directory: Path) -> None:
    runtime = tiny.runtime(directory, teacher="bank")
    other = replace(tiny.TEACHER, trial=5)
    tiny.train((other,), directory)
    keys = []
    for teacher in (tiny.TEACHER, other, tiny.TEACHER):
        run = still(0, teacher=teacher)
        data = runtime.load_data(run.stream)
        teachers.teacher_for(Cohort((run,)), runtime, data)
        assert len(runtime.banks) == 1
        keys += runtime.banks
    assert keys[0] == keys[2] != keys[1]
    assert runtime.gained == 2
    runtime.teacher = "live"
    teachers.teacher_for(Cohort((run,)), runtime, data)
    assert runtime.banks == {}


def test_a_teacher_that_was_trained_again_has_another_bank(directory: Path) -> None:
    runtime, cohort = tiny.runtime(directory), Cohort((still(0),))
    data = runtime.load_data(STILL)
    before = teachers.bank_of(cohort, runtime, data)
    weights = tiny.record(tiny.TEACHER, directory).weights
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert teachers.bank_of(cohort, runtime, data).key != before.key
    weights.unlink()
    with pytest.raises(UserError, match=r"cannot be read \(No such file.*run its grid again"):
        teachers.bank_of(cohort, runtime, data)
