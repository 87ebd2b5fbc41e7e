"""Training one cohort with its effects: networks, records, tracking, failure isolation."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn

from repro import faults
from repro.background import Background
from repro.entries import final_metrics, history_entry, run_tags
from repro.environment import describe
from repro.errors import LeaseLost, UserError
from repro.estimate import macs_on, share_left
from repro.leases import Lease
from repro.mending import restore
from repro.plan import Cohort, epoch_macs
from repro.records import Record, State, Status, now_ms
from repro.resume import resume_point
from repro.runtime import Runtime, Stopped
from repro.spec import Run, key
from repro.teachers import outputs_word, probe, processes_word, teacher_for
from repro.train import checkpoint
from repro.train.adapters import initial_adapter
from repro.train.cohort import EpochReport, Within, train_cohort
from repro.train.ranks import Ended
from repro.train.step import CohortStep, make_cohort_step
from repro.train.student import Student
from repro.train.weights import initial, save_half

CHECKPOINT_SECONDS = 10.0  # at most one checkpoint in this time, but always one at the end
States = dict[str, dict[str, Tensor]]  # by key, what a checkpoint holds


def run_cohort(cohort: Cohort, runtime: Runtime) -> tuple[Run, ...]:
    """Train a cohort to its end or until stopped; every epoch is on disk before the next one ends.

    Returns the runs that another process took over meanwhile. Raises Stopped after truthful
    statuses are written, UserError for what the user can mend, and LeaseLost where another process
    has one of the runs from the start.
    """
    job = CohortJob(cohort, runtime)
    job.run()
    return tuple(run for run in cohort.runs if key(run) in job.lost)


class CohortJob:
    """One cohort in training. ``students``: those neither failed, finished nor lost, by key."""

    def __init__(self, cohort: Cohort, runtime: Runtime) -> None:
        self.cohort, self.runtime = cohort, runtime
        self.epochs = cohort.runs[0].stream.epochs
        self.students: dict[str, Student] = {}
        self.failing: dict[str, Student] = {}  # until the writer has closed them
        self.leases: dict[str, Lease] = {}
        self.lost: set[str] = set()  # taken over by another process
        self.epoch_macs = 0.0
        self.images = ""  # the fingerprint of the training images
        self.source = ""  # of the teacher's outputs
        self.saved = time.monotonic()
        self.unsaved: tuple[States, int] = {}, 0  # the last epoch's end, where no checkpoint has it
        self.place: tuple[int, int] | None = None  # within an epoch, the last step's
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
            for lease in self.leases.values():
                self.runtime.leases.release(lease)

    def _stop(self, error: BaseException) -> None:
        """What was trained is kept and every status tells why it ends."""
        with suppress(Exception):  # the error at hand is told already
            self.writer.flush()
        with suppress(Exception):
            self._save(*self._last(error))
        reason = str(error) if isinstance(error, Stopped | UserError) else repr(error)
        for student in (*self.students.values(), *self.failing.values()):
            with suppress(UserError), self._ours(student):  # such as a full disk, for each
                if not student.dropped:
                    self._close(student, "STOPPED", reason)

    def _last(self, error: BaseException) -> tuple[States, int, int]:
        """What no checkpoint has: the last epoch's end or, where there are checkpoints within one,
        the place of an orderly stop."""
        if self.place and self.runtime.checkpoint_seconds is not None and is_orderly(error):
            epoch, part = self.place
            return self._states(within=True), epoch, part + 1
        return *self.unsaved, 0

    def _train(self) -> None:
        cohort, runtime = self.cohort, self.runtime
        data = runtime.load_data(cohort.runs[0].stream)
        self.images = data.fingerprint
        teacher, self.source = teacher_for(cohort, runtime, data)
        outputs = probe(cohort, runtime, data, teacher)
        for run in cohort.runs:
            adapter = initial_adapter(run, outputs, data.training.labels, runtime.device)
            self.students[key(run)] = self._open(run, adapter)
        self._announce()
        for student in self.students.values():
            student.distribute(runtime.ranks)
        images, macs = len(data.training.labels), macs_on(cohort.runs[0].stream)
        self.epoch_macs = epoch_macs(
            cohort, macs, images, data.num_evaluated, live_teacher=self.source == "live"
        )
        runtime.progress.cohort(cohort, images)
        if cohort.first_epoch < self.epochs:  # else nothing is left but to finish
            self._before_epoch(self.epoch_macs / runtime.speed if runtime.speed else 0.0)
        began = time.monotonic()
        for report in train_cohort(
            list(self.students.values()),
            make_cohort_step(teacher, data.training, runtime.engine, runtime.ranks),
            data,
            cohort.runs[0].trial,
            first_epoch=cohort.first_epoch,
            within=Within(self._tick, self._between, cohort.first_part),
        ):
            seconds, began = time.monotonic() - began, time.monotonic()
            self._epoch(report, seconds)
        self.writer.flush()
        for student in [s for s in self.students.values() if not s.dropped]:
            with self._ours(student):
                if student.test_logits is None:  # its last epoch was before the interruption
                    student.evaluate(data.evaluation, self._tick)
                self._finish(student)

    def _tick(self) -> None:
        self.runtime.tick()
        faults.point("step")

    def _announce(self) -> None:
        """The processes that follow wait for it."""
        self.runtime.ranks.said(self.cohort)

    def _before_epoch(self, seconds: float) -> None:
        # with checkpoints within epochs one is begun although it may not fit
        expected = seconds if self.runtime.checkpoint_seconds is None else 0.0
        self.runtime.ranks.agreed(self.runtime.before_epoch, expected)

    def _between(self, epoch: int, part: int, step: CohortStep) -> None:
        """A checkpoint within a long epoch; rank 0 says when."""
        self.place, every = (epoch, part), self.runtime.checkpoint_seconds
        if (epoch, part) == (self.cohort.first_epoch, self.cohort.first_part):
            return  # nothing is new, and the sums of the other ranks are empty
        if every is None or not self.runtime.ranks.said(time.monotonic() - self.saved >= every):
            return
        with step.paused():
            states = self._states(within=True)
        self.writer.submit(partial(self._save, states, epoch, part))
        self.saved, self.unsaved = time.monotonic(), ({}, 0)

    def _track(self, run: Run) -> None:
        self.runtime.tracker.update(self.runtime.records.own(key(run)))

    def _record(self, run: Run) -> Record:
        """To be written; every write raises LeaseLost once another process took the run over."""
        return replace(self.runtime.records.own(key(run)), stage=self.leases[key(run)].stage)

    @contextmanager
    def _ours(self, student: Student) -> Iterator[None]:
        """Once another process has taken a run over it leaves the cohort; its neighbours go on."""
        try:
            yield
        except LeaseLost as error:
            if self.runtime.ranks.size > 1:  # the others are in the middle of it
                raise
            if student.key not in self.lost:
                self.runtime.progress.line(f"{student.run.pair} {student.run.method}: {error}")
            self.lost.add(student.key)
            student.dropped = True

    def _open(self, run: Run, adapter: nn.Module | None) -> Student:
        """The student at the cohort's first epoch, with its record open and marked RUNNING."""
        lease = self.runtime.leases.take(self.runtime.records.own(key(run)), "training")
        if lease is None:
            raise LeaseLost(f"{run.pair} {run.method} is trained by another process")
        self.leases[key(run)] = lease
        record = self._record(run)
        record.create(run, run_tags(run) | self.runtime.tags)
        environment = describe(self.runtime.device) | {
            "training_images": self.images,
            "teacher_outputs": outputs_word(run, self.cohort, self.source, self.runtime),
            **processes_word(run, self.cohort, self.runtime),
        }
        record.write_json("environment.json", environment)
        student = Student(run, initial(run, self.runtime.device), adapter)
        point = resume_point(record)
        if (point.next_epoch, point.next_part) != (self.cohort.first_epoch, self.cohort.first_part):
            raise UserError(f"{record.directory} has just changed; give the same command again")
        if point.note:
            self.runtime.progress.line(point.note)
        restore(student, record, point)
        before = record.status()
        started = before.started_ms if before else now_ms()
        record.write_status(Status("RUNNING", started, fence=lease.fence))
        self._track(run)
        return student

    def _epoch(self, report: EpochReport, seconds: float) -> None:
        """Have the epoch made durable, with checkpoints when due, and begin the next one."""
        last, self.place = report.epoch == self.epochs - 1, None
        speed = self.runtime.speed = (
            share_left(self.cohort, report.epoch) * self.epoch_macs / seconds
        )
        entries = {
            k: history_entry(report, k, seconds, epochs=self.epochs, macs_per_second=speed)
            for k in report.metrics
        }
        trained = [self.students[k] for k in report.metrics]
        failing = {s.key: s for s in trained if report.not_finite(s.key)}
        self.failing |= failing
        self.students = {s.key: s for s in trained if not (s.key in failing or s.dropped)}
        due = last or time.monotonic() - self.saved >= CHECKPOINT_SECONDS
        states = self._states()
        self.writer.submit(partial(self._write, trained, report, entries, states if due else {}))
        self.unsaved = ({} if due else states), report.epoch + 1
        self.saved = time.monotonic() if due else self.saved
        self.runtime.epochs_done += 1
        self.runtime.progress.epoch(self.cohort, report, seconds)
        if not last:
            self._before_epoch(seconds)

    def _write(
        self,
        trained: list[Student],
        report: EpochReport,
        entries: dict[str, dict[str, Any]],
        states: States,
    ) -> None:
        """History, then failures, then checkpoints: a checkpoint never is ahead of its history."""
        for student in trained:
            with self._ours(student):
                self._record(student.run).append(entries[student.key])
                if failed := report.not_finite(student.key):
                    self._fail(student, f"{failed[0]} is not finite at epoch {report.epoch}")
        self._save(states, report.epoch + 1)
        for student in trained:
            if not student.dropped and not report.not_finite(student.key):
                self._track(student.run)

    def _fail(self, student: Student, reason: str) -> None:
        self.runtime.progress.line(f"{student.run.pair} {student.run.method}: {reason}")
        self._close(student, "FAILED", reason)
        del self.failing[student.key]

    def _states(self, *, within: bool = False) -> States:
        """Copies, on their device: the training goes on with the originals."""
        found = {k: s.state_within() if within else s.state() for k, s in self.students.items()}
        return {
            k: {name: tensor.detach().clone() for name, tensor in state.items()}
            for k, state in found.items()
        }

    def _save(self, states: States, next_epoch: int, next_part: int = 0) -> None:
        for run in (run for run in self.cohort.runs if key(run) in states):
            student, record = self.students.get(key(run)), self._record(run)
            if student is None or student.dropped:
                continue
            with self._ours(student):
                meta: dict[str, object] = {"key": student.key, "next_epoch": next_epoch}
                meta |= {"next_part": next_part} if next_part else {}
                checkpoint.save(record.checkpoint, states[student.key], meta, record.stage)

    def _finish(self, student: Student) -> None:
        """Write the weights and test logits, and only then FINISHED."""
        record = self._record(student.run)
        save_half(student.network, record.weights, record.stage)
        assert student.test_logits is not None
        buffer = io.BytesIO()
        np.savez(buffer, logits=student.test_logits.half().cpu().numpy())
        record.write(record.test_logits.name, buffer.getvalue())
        self._close(student, "FINISHED", "")
        del self.students[student.key]

    def _close(self, student: Student, state: State, reason: str) -> None:
        record = self._record(student.run)
        status = record.status() or Status("RUNNING", now_ms())
        final = final_metrics(record.history()) if state == "FINISHED" else ()
        ended = max(now_ms(), status.started_ms)  # the clock may have jumped
        record.write_status(
            replace(status, state=state, ended_ms=ended, reason=reason, final=final)
        )
        self._track(student.run)


def is_orderly(error: BaseException) -> bool:
    """Did it end the training between two steps?"""
    return isinstance(error, Stopped | Ended)
