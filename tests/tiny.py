"""Training that is small enough for tests: 70 digits, resnet8, batches of 32, 32 and 6."""

from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from repro import data
from repro.data.batches import evaluation_batches, prepare
from repro.data.dataset import Dataset, select
from repro.execute.inline import inline
from repro.losses import CE, named
from repro.losses.protocol import second_view
from repro.outputs import Batch, Outputs
from repro.plan import Cohort
from repro.planned import waves_of
from repro.profiles import PROFILES, Profile
from repro.records import Record, Records
from repro.runtime import Runtime
from repro.spec import Optim, Run, SecondView, Stream, key
from repro.train.adapters import initial_adapter, probe_batch
from repro.train.cohort import CohortData, EpochReport
from repro.train.step import EagerStep, Teacher
from repro.train.student import Student
from repro.train.teacher import LiveTeacher
from repro.train.weights import initial

CPU = torch.device("cpu")
METHODS = ("ce", "kd", "dkd", "dist", "cmkd")
STREAM = Stream(
    dataset="digits", augment="crop", train_per_class=7, test_per_class=3, batch_size=32, epochs=3
)
STEPS = 3  # an epoch: batches of 32, 32, 6
OPTIM = Optim(milestones=(2,))
TEACHER = Run(network="resnet8", loss=CE(), stream=STREAM, optim=OPTIM, method="teacher")
PROFILE: Profile = replace(  # and little is measured of what it trains
    PROFILES["demo"],
    stream=STREAM,
    teacher_epochs=0,
    trials=1,
    pairs={"demo": (("resnet14", "resnet8"),)},
    triplets=4,
    resolution=20,
    picture=20,
    landscape_side=5,
)


def run(method: str = "ce", **changes: Any) -> Run:
    """A student of ``TEACHER``, with a second view where its loss needs one."""
    loss = named(method)
    views: SecondView = "strong" if second_view(loss) else "none"
    stream = replace(STREAM, second_view=views)
    student = replace(TEACHER, loss=loss, stream=stream, teacher=TEACHER, method=method, trial=1)
    return replace(student, **changes)


@cache
def digits() -> Dataset:
    return data.load("digits", Path())


@cache
def cohort_data(stream: Stream = STREAM) -> CohortData:
    dataset = digits()
    train, test = select(dataset, stream)
    return CohortData(
        prepare(train, dataset.mean, dataset.std, CPU),
        lambda: evaluation_batches(test, dataset.mean, dataset.std, CPU),
        len(test),
    )


def student(of: Run) -> Student:
    data = cohort_data(of.stream)
    outputs = live_teacher()(probe_batch(data.training, of.stream))
    return Student(of, initial(of, CPU), initial_adapter(of, outputs, data.training.labels, CPU))


@cache
def live_teacher() -> LiveTeacher:
    """An untrained network: enough to have an opinion."""
    return LiveTeacher(initial(TEACHER, CPU), "fp32")


def step(teacher: Teacher | None = None) -> EagerStep:
    """``live_teacher`` by default."""
    return EagerStep(teacher or live_teacher(), cohort_data().training)


def sure_teacher(batch: Batch) -> Outputs:
    """Logits as of a good network, looked up by the image: the same on every machine."""
    table, sure = _opinions()
    return Outputs(table[batch.indices % len(table)] + sure[batch.labels])


@cache
def _opinions() -> tuple[Tensor, Tensor]:
    return torch.randn(70, 10, generator=torch.Generator().manual_seed(5)), 4 * torch.eye(10)


def full_teacher(batch: Batch) -> Outputs:
    """Those logits, and the features of an untrained network."""
    outputs, logits = live_teacher()(batch), sure_teacher(batch).logits
    second = outputs.second and replace(outputs.second, logits=logits)
    return replace(outputs, logits=logits, second=second)


def copy_state(of: Student) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in of.state().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Bitwise."""
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


@dataclass
class Tracker:
    """Remembers each update as (key, state, epochs)."""

    updates: list[tuple[str, str, int]] = field(default_factory=list)

    def update(self, record: Record) -> None:
        status = record.status()
        assert status is not None
        self.updates.append((record.key, status.state, len(record.history())))


@dataclass
class Progress:
    lines: list[str] = field(default_factory=list)

    def cohort(self, cohort: Cohort, images: int) -> None: ...

    def epoch(self, cohort: Cohort, report: EpochReport, seconds: float) -> None: ...

    def line(self, text: str) -> None:
        self.lines.append(text)


class Ticks:
    """Counts steps and evaluated batches; raises ``error`` at the given one (from 1)."""

    def __init__(self, at: int = 0, error: BaseException | None = None) -> None:
        self.count, self.at, self.error = 0, at, error

    def __call__(self) -> None:
        self.count += 1
        if self.error and self.count == self.at:
            raise self.error


def runtime(runs_dir: Path, **changes: Any) -> Runtime:
    given: dict[str, Any] = {
        "runs_dir": runs_dir,
        "data_dir": Path(),
        "device": CPU,
        "tracker": Tracker(),
        "progress": Progress(),
        "tags": {"profile": "demo", "grid": "demo"},
        "datasets": {"digits": digits()},
    }
    return Runtime(**given | changes)


def train(runs: tuple[Run, ...], runs_dir: Path, **changes: Any) -> list[Cohort]:
    """Train what is left of ``runs``; returns the cohorts whose teacher failed."""
    waves, _ = waves_of(runs, Records(runs_dir), 8)
    return inline(waves, runtime(runs_dir, **changes))


def record(of: Run, runs_dir: Path) -> Record:
    return Records(runs_dir).of(key(of))


def results(runs: tuple[Run, ...], runs_dir: Path) -> dict[str, tuple[object, ...]]:
    """All that must not depend on interruptions, by method: bitwise comparable."""
    found = {}
    for one in runs:
        kept = record(one, runs_dir)
        status = kept.status()
        assert status is not None
        final = {name: value for name, value in status.final if "seconds" not in name}
        metrics = [(entry["epoch"], entry["metrics"]) for entry in kept.history()]
        files = (kept.weights.read_bytes(), kept.test_logits.read_bytes())
        found[f"{one.method} {one.trial}"] = (status.state, final, metrics, *files)
    return found
