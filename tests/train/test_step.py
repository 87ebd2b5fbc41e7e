"""Recorded equals eager: a tape stands in for CUDA graphs (``tests/train/tape.py``)."""

from collections import Counter
from dataclasses import dataclass, replace

import pytest
import torch.nn.functional as F
from torch import Tensor

from repro.data.batches import epoch_views, parts
from repro.errors import UserError
from repro.outputs import Batch, Outputs
from repro.spec import Run, key
from repro.train.cohort import Metrics, train_cohort
from repro.train.ranks import ALONE
from repro.train.step import EagerStep, RecordedStep, make_cohort_step
from repro.train.student import Student
from tests import tiny
from tests.train.tape import HostSync, Log

RUNS = [tiny.run(method) for method in tiny.METHODS]
IMAGES = tiny.cohort_data().training


def recorded(log: Log | None = None) -> RecordedStep:
    return RecordedStep(tiny.live_teacher(), IMAGES, (log or Log()).lane)


def train(
    step: EagerStep | RecordedStep, students: list[Student], first_epoch: int = 0
) -> dict[str, list[Metrics]]:
    metrics: dict[str, list[Metrics]] = {student.key: [] for student in students}
    for report in train_cohort(students, step, tiny.cohort_data(), 1, first_epoch=first_epoch):
        for name, values in report.metrics.items():
            metrics[name].append(values)
    return metrics


def assert_recorded_equals_eager(runs: list[Run]) -> None:
    eager = [tiny.student(run) for run in runs]
    replayed = [tiny.student(run) for run in runs]
    assert train(tiny.step(), eager) == train(recorded(), replayed)
    for one, other in zip(eager, replayed, strict=True):
        assert tiny.same(one.state(), other.state())


def test_recorded_equals_eager_bit_for_bit() -> None:
    """Over a rate that drops, DKD's warm-up, and a last batch of its own size."""
    assert_recorded_equals_eager(RUNS)


def test_recorded_equals_eager_in_bfloat16() -> None:
    assert_recorded_equals_eager([tiny.run(method, precision="bf16") for method in ("kd", "cmkd")])


def test_a_recorded_cohort_equals_training_alone() -> None:
    together = [tiny.student(run) for run in RUNS]
    train(recorded(), together)
    for run, member in zip(RUNS, together, strict=True):
        alone = tiny.student(run)
        train(recorded(), [alone])
        assert tiny.same(alone.state(), member.state())


def test_going_on_recorded_from_a_state_equals_going_through() -> None:
    through, first, second = (tiny.student(tiny.run("dkd")) for _ in range(3))
    expected = train(recorded(), [through])
    next(train_cohort([first], recorded(), tiny.cohort_data(), 1))
    second.load_state(tiny.copy_state(first))
    assert train(recorded(), [second], first_epoch=1)[second.key] == expected[second.key][1:]
    assert tiny.same(second.state(), through.state())


@dataclass(frozen=True, kw_only=True)
class Waits:
    """Reads its own value: a host sync every step."""

    ce_weight: float = 1.0

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002
        ce = F.cross_entropy(student.logits, batch.labels)
        return {"ce": ce * float(ce)}


def test_a_step_that_waits_for_a_value_cannot_be_recorded() -> None:
    with pytest.raises(HostSync):
        train(recorded(), [tiny.student(tiny.run(loss=Waits()))])


@dataclass(frozen=True, kw_only=True)
class Breaks:
    """NaN in the second epoch."""

    ce_weight: float = 1.0

    def at_epoch(self, epoch: int) -> "Breaks":
        return replace(self, ce_weight=float("nan") if epoch == 1 else 1.0)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002
        return {"ce": self.ce_weight * F.cross_entropy(student.logits, batch.labels)}


def test_a_student_that_leaves_is_not_replayed_any_more() -> None:
    broken, kd = tiny.student(tiny.run(loss=Breaks())), tiny.student(tiny.run("kd"))
    alone = tiny.student(tiny.run("kd"))
    log = Log()
    metrics = train(recorded(log), [broken, kd])
    assert [len(metrics[student.key]) for student in (broken, kd)] == [2, 3]
    assert train(recorded(), [alone])[alone.key] == metrics[kd.key]
    replays = Counter(lane for event, lane in log.events if event == "replay")
    assert replays[1] == 2 * tiny.STEPS
    assert replays[2] == 3 * tiny.STEPS


def test_what_does_not_change_is_recorded_once_for_each_size_and_place() -> None:
    log = Log()
    train(recorded(log), [tiny.student(tiny.run("kd")), tiny.student(tiny.run("dkd"))])
    recordings = Counter(lane for event, lane in log.events if event == "record")
    # Batches of 32, 32, 6 in places 0, 1, 0; DKD's weights move in each of the 3 epochs.
    assert recordings == {0: 3, 1: 3, 2: 9}


def test_students_wait_for_their_feed_and_the_feed_for_its_place() -> None:
    log, student = Log(), tiny.student(tiny.run("kd"))
    step = recorded(log)
    student.begin_epoch(0)
    count = len(IMAGES.labels)
    step.begin([student], epoch_views(tiny.STREAM, 1, 0, count))
    for part in parts(count, 8):
        step(part)
    feeder, lane = step.feeder, step.lanes[key(student.run)]
    fed, learnt = (
        [i for i, event in enumerate(log.events) if event == ("replay", n)] for n in (0, 1)
    )
    assert len(learnt) == 9
    # Two replays more than steps, and one for the last size, filled the places at the recording.
    assert lane.waited_for == [[i - 1] for i in learnt]
    assert all(i - 1 in fed for i in learnt)
    # A place is free once the student two steps before has learnt (a recording waits for all).
    assert [marks for marks in feeder.waited_for if marks] == [[i] for i in learnt[1:6]]


def test_warming_up_leaves_students_and_position_as_they_were() -> None:
    student, step = tiny.student(tiny.run("cmkd")), recorded()
    student.begin_epoch(0)
    step.begin([student], epoch_views(tiny.STREAM, 1, 0, len(IMAGES.labels)))
    before = tiny.copy_state(student)
    step._feed(32, 0)
    step._lesson(student, 32, 0)
    assert tiny.same(before, student.state())
    assert step.position.item() == 0
    assert all(not total.any() for total in student.sums.values())


def test_the_engine_is_eager_on_a_cpu_and_graphs_need_cuda() -> None:
    assert isinstance(make_cohort_step(tiny.live_teacher(), IMAGES), EagerStep)
    with pytest.raises(UserError, match="unknown engine 'graph'; known: auto, eager"):
        make_cohort_step(tiny.live_teacher(), IMAGES, "graph")


@pytest.mark.parametrize("first", [0, 1, 2])
def test_an_epoch_that_is_gone_on_with_shows_what_is_left_of_it(first: int) -> None:
    """Recorded as eager: the batches from the ``first`` on."""
    views = epoch_views(tiny.STREAM, 1, 0, len(IMAGES.labels))
    shares = [ALONE.share(part) for part in parts(len(IMAGES.labels), tiny.STREAM.batch_size)]
    states = []
    for step in (tiny.step(), recorded()):
        student = tiny.student(tiny.run("kd"))
        student.begin_epoch(0)
        step.begin([student], views, shares[first:])
        for share in shares[first:]:
            step(share)
        step.end()
        states.append(tiny.copy_state(student))
    assert tiny.same(*states)
