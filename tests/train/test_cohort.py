from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from repro.data.batches import batches
from repro.outputs import Batch, Outputs
from repro.spec import Optim, Run, key
from repro.train.cohort import EpochReport, Metrics, Within, train_cohort
from repro.train.student import Student
from tests import tiny

RUNS = {method: tiny.run(method) for method in tiny.METHODS}


@dataclass(frozen=True)
class Trained:
    """By the run's key: the final state, and the metrics of every epoch."""

    states: dict[str, dict[str, Tensor]]
    metrics: dict[str, list[Metrics]]

    def of(self, run: Run) -> tuple[dict[str, Tensor], list[Metrics]]:
        return self.states[key(run)], self.metrics[key(run)]


def train(*runs: Run, **options: object) -> Trained:
    students = [tiny.student(run) for run in runs]
    return train_students(students, **options)


def train_students(students: list[Student], **options: object) -> Trained:
    metrics: dict[str, list[Metrics]] = {student.key: [] for student in students}
    trial = students[0].run.trial
    for report in train_cohort(students, tiny.step(), tiny.cohort_data(), trial, **options):
        for name, values in report.metrics.items():
            metrics[name].append(values)
    return Trained({student.key: tiny.copy_state(student) for student in students}, metrics)


@pytest.fixture(scope="module")
def together() -> Trained:
    return train(*RUNS.values())


@dataclass(frozen=True, kw_only=True)
class Broken:
    """Cross-entropy that becomes NaN at an epoch."""

    ce_weight: float = 1.0
    breaks_at: int = 1
    scale: float = 1.0

    def at_epoch(self, epoch: int) -> "Broken":
        return replace(self, scale=float("nan") if epoch == self.breaks_at else 1.0)

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:  # noqa: ARG002
        ce = torch.nn.functional.cross_entropy(student.logits, batch.labels)
        return {"ce": self.scale * ce}


def assert_same(first: Trained, second: Trained, run: Run) -> None:
    state, metrics = first.of(run)
    other_state, other_metrics = second.of(run)
    assert metrics == other_metrics
    assert len(metrics) == 3
    assert tiny.same(state, other_state)


@pytest.mark.parametrize("method", tiny.METHODS)
def test_cohort_equals_training_alone(together: Trained, method: str) -> None:
    assert_same(train(RUNS[method]), together, RUNS[method])


def test_methods_end_at_different_weights(together: Trained) -> None:
    weights = [together.of(run)[0]["model.classifier.weight"] for run in RUNS.values()]
    for i, one in enumerate(weights):
        assert not any(torch.equal(one, other) for other in weights[:i])


def test_the_trial_and_the_epoch_choose_the_batches() -> None:
    seen: dict[int, list[list[int]]] = {0: [], 1: []}
    for trial, indices in seen.items():

        def teacher(batch: Batch, indices: list[list[int]] = indices) -> Outputs:
            indices.append(batch.indices.tolist())
            return tiny.sure_teacher(batch)

        list(
            train_cohort([tiny.student(RUNS["ce"])], tiny.step(teacher), tiny.cohort_data(), trial)
        )
        expected = [
            batch.indices.tolist()
            for epoch in range(3)
            for batch in batches(tiny.cohort_data().training, tiny.STREAM, trial, epoch)
        ]
        assert indices == expected
    assert seen[0] != seen[1]


def test_a_student_that_becomes_nan_leaves_and_its_neighbours_do_not_notice(
    together: Trained,
) -> None:
    broken = tiny.run(loss=Broken())
    trained = train(RUNS["kd"], broken, RUNS["cmkd"])
    assert len(trained.metrics[key(broken)]) == 2
    for method in ("kd", "cmkd"):
        assert_same(trained, together, RUNS[method])


def test_a_learning_rate_that_explodes_is_a_failure_of_its_epoch() -> None:
    run = tiny.run("ce", optim=Optim(lr=1e30))
    reports = list(train_cohort([tiny.student(run)], tiny.step(), tiny.cohort_data(), trial=1))
    assert [report.epoch for report in reports] == [0]  # nobody is left
    assert "train/loss" in reports[0].not_finite(key(run))


def test_not_finite_names_nan_and_infinity_and_nothing_else() -> None:
    values: Metrics = {"a": 1.0, "b": float("nan"), "c": float("-inf"), "hist": [1.0]}
    assert EpochReport(0, {"k": values}).not_finite("k") == ["b", "c"]


def test_tick_runs_before_every_step_and_every_evaluated_batch() -> None:
    events = []

    def teacher(batch: Batch) -> Outputs:
        events.append(f"step {len(batch.labels)}")
        return tiny.sure_teacher(batch)

    students = [tiny.student(RUNS["ce"]), tiny.student(RUNS["kd"])]
    training = train_cohort(
        students,
        tiny.step(teacher),
        tiny.cohort_data(),
        1,
        within=Within(tick=lambda: events.append("tick")),
    )
    next(training)
    assert events == ["tick", "step 32", "tick", "step 32", "tick", "step 6", "tick"]


@pytest.mark.parametrize("at", [1, 5, 6, 7, 8])
def test_a_stop_reports_whole_epochs_only(at: int) -> None:
    """Four ticks an epoch: three steps and one evaluated batch."""
    ticks = tiny.Ticks(at, TimeoutError("enough"))
    training = train_cohort(
        [tiny.student(RUNS["ce"])], tiny.step(), tiny.cohort_data(), 1, within=Within(tick=ticks)
    )
    whole = (at - 1) // 4
    assert [next(training).epoch for _ in range(whole)] == list(range(whole))
    with pytest.raises(TimeoutError, match="enough"):
        next(training)


@pytest.mark.parametrize("method", ["dkd", "cmkd"])
def test_going_on_from_a_state_equals_going_through(together: Trained, method: str) -> None:
    run = RUNS[method]
    first = tiny.student(run)
    next(train_cohort([first], tiny.step(), tiny.cohort_data(), 1))
    second = tiny.student(run)
    second.load_state(tiny.copy_state(first))
    trained = train_students([second], first_epoch=1)
    state, metrics = together.of(run)
    assert trained.metrics[run_key := key(run)] == metrics[1:]
    assert tiny.same(trained.states[run_key], state)
