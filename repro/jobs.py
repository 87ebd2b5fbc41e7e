"""Training one cohort with its effects: networks, records, tracking, failure isolation."""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from torch import nn

from repro import faults
from repro.background import Background
from repro.cohort_records import CohortRecords, States
from repro.data.decoding import FolderTraining
from repro.entries import history_entry
from repro.environment import describe
from repro.errors import LeaseLost, UserError
from repro.estimate import macs_on, share_left
from repro.mending import restore
from repro.plan import Cohort, epoch_macs
from repro.resume import Place, resume_point
from repro.runtime import Runtime, Stopped
from repro.spec import Run, key
from repro.teachers import outputs_word, probe, processes_word, teacher_for
from repro.train.adapters import initial_adapter
from repro.train.cohort import CohortData, EpochReport, Within, train_cohort
from repro.train.step import CohortStep, Teacher, make_cohort_step
from repro.train.student import Student, evaluate
from repro.train.weights import initial

CHECKPOINT_SECONDS = 10.0  # at most one checkpoint in this time, but always one at the end


def run_cohort(cohort: Cohort, runtime: Runtime) -> tuple[Run, ...]:
    """Train a cohort to its end or until stopped; every epoch is on disk before the next one ends.

    Returns the runs that another process took over meanwhile. Raises Stopped after truthful
    statuses are written, UserError for what the user can mend, and LeaseLost where another process
    has one of the runs from the start.
    """
    job = CohortJob(cohort, runtime)
    job.run()
    return tuple(run for run in cohort.runs if key(run) in job.records.lost)


class CohortJob:
    """One cohort in training. ``opened``: its students; ``students``: those neither failed,
    finished nor lost. Both by key.
    """

    def __init__(self, cohort: Cohort, runtime: Runtime) -> None:
        self.cohort, self.runtime = cohort, runtime
        self.epochs = cohort.runs[0].stream.epochs
        self.opened: dict[str, Student] = {}
        self.students: dict[str, Student] = {}
        self.records = CohortRecords(runtime)
        self.epoch_macs = 0.0
        self.images, self.count = "", 0  # the fingerprint of the training images; how many
        self.source = ""  # of the teacher's outputs
        self.decoded = 0  # images that are decoded on their way
        self.saved = time.monotonic()
        self.unsaved: tuple[States, Place] = {}, Place()  # the last epoch's end, where not saved
        self.place: tuple[int, int] | None = None  # an epoch, and its steps that are done
        self.before = 0.0  # seconds that earlier launches spent in the first epoch
        self.began = time.monotonic()  # the epoch
        self.writer = Background()  # of records, while the next epoch trains

    def run(self) -> None:
        try:
            with self.writer:
                try:
                    self._train()
                except BaseException as error:
                    self._stop(error)
                    raise
        finally:
            self.records.release()

    def _stop(self, error: BaseException) -> None:
        """What was trained is kept and every status tells why it ends."""
        with suppress(Exception):  # the error at hand is told already
            self.writer.flush()
        with suppress(Exception):
            self._save(*self._last(error))
        reason = str(error) if isinstance(error, Stopped | UserError) else repr(error)
        for student in self.opened.values():
            if student.dropped or student.key in self.records.closed:
                continue
            with suppress(UserError, LeaseLost), self.records.ours(student):  # or a full disk
                self.records.close(student, "STOPPED", reason)

    def _last(self, error: BaseException) -> tuple[States, Place]:
        """What no checkpoint has: the last epoch's end or, where there are checkpoints within one,
        the place of an orderly stop."""
        if self.place and self.runtime.checkpoint_seconds is not None and self._orderly(error):
            self.runtime.gained += self.place != (self.cohort.first_epoch, self.cohort.first_part)
            return self._states(within=True), self._place(*self.place)
        return self.unsaved

    def _orderly(self, error: BaseException) -> bool:
        """Did it end the training between two steps, of all ranks the same ones?"""
        ranks = self.runtime.ranks
        return isinstance(error, Stopped) if ranks.size == 1 else not ranks.at_work

    def _place(self, epoch: int, part: int) -> Place:
        return Place(epoch, part, self.before + time.monotonic() - self.began)

    def _train(self) -> None:
        cohort, runtime = self.cohort, self.runtime
        data = runtime.load_data(cohort.runs[0].stream)
        self.images, self.count = data.fingerprint, len(data.training.labels)
        if isinstance(data.training, FolderTraining):
            self.decoded = self.count + data.num_evaluated
        teacher, self.source = teacher_for(cohort, runtime, data)
        outputs = probe(cohort, runtime, data, teacher)
        for run in cohort.runs:
            adapter = initial_adapter(run, outputs, data.training.labels, runtime.device)
            self.students[key(run)] = self.opened[key(run)] = self._open(run, adapter)
        with runtime.ranks.together(cohort):
            self._train_opened(data, teacher)

    def _train_opened(self, data: CohortData, teacher: Teacher) -> None:
        cohort, runtime, ranks = self.cohort, self.runtime, self.runtime.ranks
        for student in self.students.values():
            student.distribute(ranks)
        macs = macs_on(cohort.runs[0].stream)
        self.epoch_macs = epoch_macs(
            cohort, macs, self.count, data.num_evaluated, live_teacher=self.source == "live"
        )
        runtime.progress.cohort(cohort, self.count)
        if cohort.first_epoch < self.epochs:  # else nothing is left but to finish
            self._before_epoch(self.epoch_macs / runtime.speed if runtime.speed else 0.0)
        self.began = time.monotonic()
        for report in train_cohort(
            list(self.students.values()),
            make_cohort_step(teacher, data.training, runtime.engine, ranks),
            data,
            cohort.runs[0].trial,
            first_epoch=cohort.first_epoch,
            within=Within(self._tick, self._between, cohort.first_part),
        ):
            self._epoch(report)
        ranks.agreed(self.writer.flush)
        left = [student for student in self.students.values() if not student.dropped]
        if late := [student for student in left if student.test_logits is None]:
            evaluate(late, data.evaluation, self._tick)  # whose last epoch was before a stop
            self._hear_of_damaged()
        if summary := runtime.damaged.summary():
            runtime.progress.line(summary)
        for student in left:
            ranks.agreed(self.records.finish, student)

    def _tick(self) -> None:
        self.runtime.tick()
        faults.point("step")

    def _before_epoch(self, seconds: float) -> None:
        # with checkpoints within epochs one is begun although it may not fit
        expected = seconds if self.runtime.checkpoint_seconds is None else 0.0
        self.runtime.ranks.agreed(self.runtime.before_epoch, expected)

    def _between(self, epoch: int, part: int, step: CohortStep) -> None:
        """A checkpoint within a long epoch; rank 0 says when."""
        self.place, every = (epoch, part), self.runtime.checkpoint_seconds
        new = self.place != (self.cohort.first_epoch, self.cohort.first_part)
        ranks = self.runtime.ranks
        if new and every is not None and ranks.said(time.monotonic() - self.saved >= every):
            with step.paused():
                states = self._states(within=True)
            self._behind(partial(self._save_within, states, self._place(epoch, part)))
            self.saved, self.unsaved = time.monotonic(), ({}, Place())
            self.runtime.gained += 1
        self.place = epoch, part + 1  # when somebody looks again

    def _behind(self, work: Callable[[], None]) -> None:
        """Have it written while the training goes on; what the writing before it raised ends all
        ranks here."""
        self.runtime.ranks.agreed(self.writer.flush)
        self.writer.submit(work)

    def _open(self, run: Run, adapter: nn.Module | None) -> Student:
        """The student at the cohort's first epoch, with its record open and marked RUNNING."""
        record = self.records.hold(run)
        environment = describe(self.runtime.device) | {
            "training_images": self.images,
            "teacher_outputs": outputs_word(run, self.cohort, self.source, self.runtime),
            **processes_word(run, self.cohort, self.runtime),
        }
        self.records.open(run, environment)
        student = Student(run, initial(run, self.runtime.device), adapter)
        point = resume_point(record)
        if (point.next_epoch, point.next_part) != (self.cohort.first_epoch, self.cohort.first_part):
            raise UserError(f"{record.directory} has just changed; give the same command again")
        if point.note:
            self.runtime.progress.line(point.note)
        restore(student, record, point)
        self.before = max(self.before, point.seconds)
        self.records.running(run)
        return student

    def _epoch(self, report: EpochReport) -> None:
        """Have the epoch made durable, with checkpoints when due, and begin the next one."""
        seconds, self.began = time.monotonic() - self.began, time.monotonic()
        last, self.place = report.epoch == self.epochs - 1, None
        ranks = self.runtime.ranks.size  # all of whose devices were used
        speed = self.runtime.speed = (
            share_left(self.cohort, report.epoch, self.count) * self.epoch_macs / seconds
        )
        whole, self.before = self.before + seconds, 0.0
        entries = {
            k: history_entry(report, k, whole, epochs=self.epochs, macs_per_second=speed / ranks)
            for k in report.metrics
        }
        trained = [self.students[k] for k in report.metrics]
        self.students = {s.key: s for s in trained if not (report.not_finite(s.key) or s.dropped)}
        due = last or time.monotonic() - self.saved >= CHECKPOINT_SECONDS
        states, place = self._states(), Place(report.epoch + 1)
        self._behind(partial(self._write, trained, report, entries, states if due else {}))
        self.unsaved = {} if due else states, place
        self.saved = time.monotonic() if due else self.saved
        self.runtime.gained += 1
        self.runtime.progress.epoch(self.cohort, report, seconds)
        self._hear_of_damaged()
        if not last:
            self._before_epoch(seconds)

    def _hear_of_damaged(self) -> None:
        """Images that other ranks could not decode; too many of them end all ranks."""
        ranks, damaged = self.runtime.ranks, self.runtime.damaged
        if ranks.size == 1 or not self.decoded:
            return
        for rank, found in enumerate(ranks.all_said(damaged.found_since())):
            for line in damaged.hear(found) if rank != ranks.rank else ():
                self.runtime.progress.line(line)
        ranks.agreed(damaged.check, self.decoded)

    def _write(
        self,
        trained: list[Student],
        report: EpochReport,
        entries: dict[str, dict[str, Any]],
        states: States,
    ) -> None:
        """History, then failures, then checkpoints: a checkpoint never is ahead of its history."""
        self.records.write(trained, report, entries)
        self._save(states, Place(report.epoch + 1))
        self.records.track(trained)
        self.records.check_lost()

    def _states(self, *, within: bool = False) -> States:
        """Copies, on their device: the training goes on with the originals."""
        found = {k: s.state_within() if within else s.state() for k, s in self.students.items()}
        return {
            k: {name: tensor.detach().clone() for name, tensor in state.items()}
            for k, state in found.items()
        }

    def _save(self, states: States, place: Place) -> None:
        self.records.save(self.opened.values(), states, place)

    def _save_within(self, states: States, place: Place) -> None:
        self._save(states, place)
        self.records.check_lost()
