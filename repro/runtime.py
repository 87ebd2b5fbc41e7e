"""Where and how cohorts run. Nothing here is part of a run's identity."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import nn

from repro import data
from repro.data.batches import Channels, evaluation_batches, prepare
from repro.data.damaged import Damaged
from repro.data.dataset import Dataset, Images, fingerprint, select
from repro.data.decoding import Decoder, FolderTraining, workers_of
from repro.data.folder import FolderImages
from repro.errors import UserError
from repro.leases import Leases
from repro.plan import Cohort, TeacherChoice, TeacherUse
from repro.records import Record, Records
from repro.spec import Run, Stream, key
from repro.train.bank import BankTeacher
from repro.train.cohort import CohortData, EpochReport
from repro.train.ranks import ALONE, Ranks, local_size
from repro.train.step import Engine
from repro.train.weights import load_half

FOLDER_BATCH = 100  # evaluated images at a time


class Stopped(Exception):
    """Training was asked to stop; the message says by what."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a launch ended. ``failed``: a run or cohort did, or waits for a teacher that did;
    ``gained``: as a ``Runtime`` counts it."""

    failed: bool
    gained: int = 0
    out_of_time: bool = False


class Tracker(Protocol):
    def update(self, record: Record) -> object: ...


class RecordsOnly:
    """A tracker that tracks nothing."""

    def update(self, record: Record) -> None: ...


class Progress(Protocol):
    """What a front end shows of a cohort in training."""

    def cohort(self, cohort: Cohort, images: int) -> None: ...
    def epoch(self, cohort: Cohort, report: EpochReport, seconds: float) -> None: ...
    def line(self, text: str) -> None: ...


@dataclass
class Runtime:
    """``tags`` go to every run (profile, grid). ``tick`` runs before every step, ``before_epoch``
    with the seconds that the epoch is expected to take (0: unknown); both may raise Stopped.

    ``deadline``: when ``tick`` will raise, on ``time.monotonic``, which processes share.
    ``speed``: multiply-accumulates a second, as last measured; ``gained``: epochs, checkpoints
    within epochs and views of teacher banks in this process, which are all kept; ``broken``:
    cohorts that ended by an error.

    ``teacher``: where teacher outputs come from; ``teacher_passes``: what this launch has planned
    (``plan.teacher_passes``), by which "auto" decides; ``banks``: the tables in memory by their
    key, one at most.

    ``leases``: of the runs that this process trains. ``ranks``: the processes that train with it.
    ``workers``: processes that decode images, None: what suits the device. ``checkpoint_seconds``:
    between two checkpoints within an epoch; None: none within one. ``side_by_side``: processes of
    the launch on this machine; ``damaged``: images that cannot be decoded.
    """

    runs_dir: Path
    data_dir: Path
    device: torch.device
    tracker: Tracker
    progress: Progress
    tags: dict[str, str]
    tick: Callable[[], None] = lambda: None
    before_epoch: Callable[[float], None] = lambda _seconds: None
    deadline: float | None = None
    datasets: dict[str, Dataset] = field(default_factory=dict)
    engine: Engine = "auto"
    speed: float | None = None
    gained: int = 0
    broken: list[Cohort] = field(default_factory=list)
    teacher: TeacherChoice = "auto"
    teacher_passes: dict[TeacherUse, int] = field(default_factory=dict)
    banks: dict[str, BankTeacher] = field(default_factory=dict)
    leases: Leases = field(default_factory=Leases)
    ranks: Ranks = ALONE
    workers: int | None = None
    checkpoint_seconds: float | None = None
    side_by_side: int = 1
    damaged: Damaged = field(default_factory=Damaged)

    @property
    def records(self) -> Records:
        return Records(self.runs_dir)

    def dataset(self, name: str) -> Dataset:
        if name not in self.datasets:
            self.datasets[name] = data.load(name, self.data_dir)
        return self.datasets[name]

    def load_data(self, stream: Stream) -> CohortData:
        """The stream's images on the device, or decoded on their way to it."""
        dataset = self.dataset(stream.dataset)
        train, evaluated = select(dataset, stream)
        mean, std = dataset.mean, dataset.std
        if len(evaluated) < self.ranks.size:
            raise UserError(
                f"{self.ranks.size} processes share {len(evaluated)} evaluated images: use fewer"
            )
        rows = self.ranks.rows(len(evaluated))
        if isinstance(train, FolderImages):
            assert isinstance(evaluated, FolderImages)
            return self._decoded(train, evaluated, (mean, std))
        assert isinstance(evaluated, Images)
        mine = evaluated[rows.start : rows.stop]
        return CohortData(
            prepare(train, mean, std, self.device),
            lambda: evaluation_batches(mine, mean, std, self.device),
            len(evaluated),
            fingerprint(train),
            self.ranks,
        )

    def _decoded(
        self, train: FolderImages, evaluated: FolderImages, norm: tuple[Channels, Channels]
    ) -> CohortData:
        workers, self.damaged.shared = self.workers, self.ranks.size > 1
        if workers is None:
            workers = workers_of(self.device, max(self.side_by_side, local_size()))
        decoder = Decoder(
            train,
            evaluated,
            workers=workers,
            pinned=self.device.type == "cuda",
            say=self.progress.line,
            damaged=self.damaged,
        )
        training = FolderTraining(train, decoder, self.device, norm)
        rows = self.ranks.rows(len(evaluated))
        return CohortData(
            training,
            lambda: training.evaluation(evaluated, rows, FOLDER_BATCH),
            len(evaluated),
            fingerprint(train),
            self.ranks,
        )

    def load_finished(self, run: Run) -> nn.Module:
        """A finished network. Raises UserError where it is not finished or damaged."""
        return load_half(run, self.finished_weights(run), self.device)

    def finished_weights(self, run: Run) -> Path:
        """The file of its weights. Raises UserError where it is not finished."""
        record = self.records.of(key(run))
        if self.records.state(record.key) != "FINISHED":
            raise UserError(f"{run.network} (run {record.key[:12]}) is not finished")
        if record.taken and not record.weights.exists():
            raise UserError(
                f"{run.network} (run {record.key[:12]}) came from recorded results without its "
                "weights; train what needs it in another --runs-dir"
            )
        return record.weights
