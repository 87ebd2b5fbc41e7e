"""Training one cohort with its effects: networks, records, tracking, failure isolation."""

import io
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from torch import Tensor, nn

from repro.background import Background
from repro.environment import describe
from repro.errors import UserError
from repro.files import write_atomically
from repro.models import count_macs
from repro.plan import Cohort, epoch_macs
from repro.records import Record, State, Status, now_ms
from repro.resume import ResumePoint, resume_point
from repro.runtime import Runtime, Stopped
from repro.spec import Run, key
from repro.teachers import outputs_word, probe, teacher_for
from repro.train import checkpoint
from repro.train.adapters import initial_adapter
from repro.train.cohort import EpochReport, train_cohort
from repro.train.step import make_cohort_step
from repro.train.student import Student
from repro.train.weights import initial, save_half

CHECKPOINT_SECONDS = 10.0  # at most one checkpoint in this time, but always one at the end


def run_cohort(cohort: Cohort, runtime: Runtime) -> None:
    """Train a cohort to its end or until stopped; every epoch is on disk before the next one ends.

    Raises Stopped after truthful statuses are written, and UserError for what the user can mend.
    """
    CohortJob(cohort, runtime).run()


class CohortJob:
    """One cohort in training. ``students``: those neither failed nor finished, by key."""

    def __init__(self, cohort: Cohort, runtime: Runtime) -> None:
        self.cohort, self.runtime = cohort, runtime
        self.epochs = cohort.runs[0].stream.epochs
        self.students: dict[str, Student] = {}
        self.failing: dict[str, Student] = {}  # until the writer has closed them
        self.epoch_macs = 0.0
        self.images = ""  # the fingerprint of the training images
        self.source = ""  # of the teacher's outputs
        self.saved = time.monotonic()
        self.writer = Background()  # of records, while the next epoch trains

    def run(self) -> None:
        with self.writer:
            try:
                self._train()
            except BaseException as error:
                with suppress(Exception):  # the error at hand is told already
                    self.writer.flush()
                reason = str(error) if isinstance(error, Stopped | UserError) else repr(error)
                for student in (*self.students.values(), *self.failing.values()):
                    with suppress(UserError):  # such as a full disk, for each
                        self._close(student, "STOPPED", reason)
                raise

    def _train(self) -> None:
        cohort, runtime = self.cohort, self.runtime
        data = runtime.load_data(cohort.runs[0].stream)
        self.images = data.fingerprint
        teacher, self.source = teacher_for(cohort, runtime, data)
        outputs = probe(cohort, runtime, data, teacher)
        for run in cohort.runs:
            adapter = initial_adapter(run, outputs, data.training.labels, runtime.device)
            self.students[key(run)] = self._open(run, adapter)
        images = len(data.training.labels)
        self.epoch_macs = epoch_macs(
            cohort, count_macs, images, data.num_evaluated, live_teacher=self.source == "live"
        )
        runtime.progress.cohort(cohort, images)
        if cohort.first_epoch < self.epochs:  # else nothing is left but to finish
            runtime.before_epoch(self.epoch_macs / runtime.speed if runtime.speed else 0.0)
        began = time.monotonic()
        for report in train_cohort(
            list(self.students.values()),
            make_cohort_step(teacher, data.training, runtime.engine),
            data,
            cohort.runs[0].trial,
            first_epoch=cohort.first_epoch,
            tick=runtime.tick,
        ):
            seconds, began = time.monotonic() - began, time.monotonic()
            self._epoch(report, seconds)
        self.writer.flush()
        for student in list(self.students.values()):
            if student.test_logits is None:  # its last epoch was before the interruption
                student.evaluate(data.evaluation, runtime.tick)
            self._finish(student)

    def _record(self, run: Run) -> Record:
        return self.runtime.records.of(key(run))

    def _open(self, run: Run, adapter: nn.Module | None) -> Student:
        """The student at the cohort's first epoch, with its record open and marked RUNNING."""
        record = self._record(run)
        record.create(run, run_tags(run) | self.runtime.tags)
        environment = describe(self.runtime.device) | {
            "training_images": self.images,
            "teacher_outputs": outputs_word(run, self.cohort, self.source, self.runtime),
        }
        record.write_json("environment.json", environment)
        student = Student(run, initial(run, self.runtime.device), adapter)
        point = resume_point(record)
        if point.next_epoch != self.cohort.first_epoch:
            raise UserError(f"{record.directory} has just changed; give the same command again")
        if point.note:
            self.runtime.progress.line(point.note)
        _restore(student, record, point)
        before = record.status()
        record.write_status(Status("RUNNING", before.started_ms if before else now_ms()))
        self.runtime.tracker.update(record)
        return student

    def _epoch(self, report: EpochReport, seconds: float) -> None:
        """Have the epoch made durable, with checkpoints when due, and begin the next one."""
        last = report.epoch == self.epochs - 1
        speed = self.runtime.speed = self.epoch_macs / seconds
        entries = {
            k: history_entry(report, k, seconds, epochs=self.epochs, macs_per_second=speed)
            for k in self.students
        }
        trained = list(self.students.values())
        self.failing |= {k: s for k, s in self.students.items() if report.not_finite(k)}
        self.students = {k: s for k, s in self.students.items() if k not in self.failing}
        due = last or time.monotonic() - self.saved >= CHECKPOINT_SECONDS
        states = self._states() if due else {}
        self.writer.submit(partial(self._write, trained, report, entries, states))
        self.runtime.epochs_done += 1
        self.runtime.progress.epoch(self.cohort, report, seconds)
        if not last:
            self._before_epoch(report.epoch + 1, seconds)

    def _write(
        self,
        trained: list[Student],
        report: EpochReport,
        entries: dict[str, dict[str, Any]],
        states: dict[str, dict[str, Tensor]],
    ) -> None:
        """History, then failures, then checkpoints: a checkpoint never is ahead of its history."""
        for student in trained:
            self._record(student.run).append(entries[student.key])
            failed = report.not_finite(student.key)
            if failed:
                reason = f"{failed[0]} is not finite at epoch {report.epoch}"
                self.runtime.progress.line(f"{student.run.pair} {student.run.method}: {reason}")
                self._close(student, "FAILED", reason)
                del self.failing[student.key]
        self._save(states, report.epoch + 1)
        for student in trained:
            if not report.not_finite(student.key):
                self.runtime.tracker.update(self._record(student.run))

    def _before_epoch(self, epoch: int, seconds: float) -> None:
        """May raise Stopped: then every epoch so far is in a checkpoint, however short they are."""
        try:
            self.runtime.before_epoch(seconds)
        except Stopped:
            self.writer.submit(partial(self._save, self._states(), epoch))
            raise

    def _states(self) -> dict[str, dict[str, Tensor]]:
        """By key, what a checkpoint holds, copied: the next epoch goes on with the originals."""
        self.saved = time.monotonic()
        return {
            k: {name: tensor.detach().to("cpu", copy=True) for name, tensor in s.state().items()}
            for k, s in self.students.items()
        }

    def _save(self, states: dict[str, dict[str, Tensor]], next_epoch: int) -> None:
        for k, state in states.items():
            meta: dict[str, object] = {"key": k, "next_epoch": next_epoch}
            checkpoint.save(self.runtime.records.of(k).checkpoint, state, meta)

    def _finish(self, student: Student) -> None:
        """Write the weights and test logits, and only then FINISHED."""
        record = self._record(student.run)
        save_half(student.network, record.weights)
        assert student.test_logits is not None
        buffer = io.BytesIO()
        np.savez(buffer, logits=student.test_logits.half().cpu().numpy())
        write_atomically(record.test_logits, buffer.getvalue())
        self._close(student, "FINISHED", "")
        del self.students[student.key]

    def _close(self, student: Student, state: State, reason: str) -> None:
        record = self._record(student.run)
        status = record.status() or Status("RUNNING", now_ms())
        final = final_metrics(record.history()) if state == "FINISHED" else ()
        record.write_status(
            replace(status, state=state, ended_ms=now_ms(), reason=reason, final=final)
        )
        self.runtime.tracker.update(record)


def _restore(student: Student, record: Record, point: ResumePoint) -> None:
    if point.state is None:
        record.restart()
        return
    if point.note:  # the newest checkpoint is no good: it must not become the previous one
        record.checkpoint.unlink(missing_ok=True)
    try:
        student.load_state(point.state)
    except RuntimeError as error:
        raise UserError(
            f"{record.checkpoint} does not fit {student.run.network}; "
            f"remove {record.directory} to train this run again"
        ) from error
    record.cut_history(point.next_epoch)


def run_tags(run: Run) -> dict[str, str]:
    """The tags that follow from the run itself."""
    return {
        "key": key(run),
        "dataset": run.stream.dataset,
        "split": run.stream.split,
        "pair": run.pair,
        "teacher": run.teacher.network if run.teacher else "",
        "student": run.network,
        "method": run.method,
        "trial": str(run.trial),
    }


def history_entry(
    report: EpochReport, k: str, seconds: float, *, epochs: int, macs_per_second: float
) -> dict[str, Any]:
    """A line of history.jsonl; histograms only at the first, middle and last of the epochs.

    ``seconds`` is the whole cohort's time; ``students`` says how many shared it.
    """
    metrics = report.metrics[k]
    entry = {
        "epoch": report.epoch,
        "time_ms": now_ms(),
        "seconds": round(seconds, 3),
        "students": len(report.metrics),
        "macs_per_second": round(macs_per_second),
        "metrics": {name: v for name, v in metrics.items() if not isinstance(v, list)},
    }
    if report.epoch in (0, epochs // 2, epochs - 1):
        entry["histograms"] = {name: v for name, v in metrics.items() if isinstance(v, list)}
    return entry


def final_metrics(history: list[dict[str, Any]]) -> tuple[tuple[str, float], ...]:
    """Last, best, and the mean of the last ten epochs (of all, if there are fewer)."""
    top1 = [entry["metrics"]["test/top1"] for entry in history]
    tail = top1[-10:]
    return (
        ("final/top1_last", top1[-1]),
        ("final/top1_best", max(top1)),
        ("final/top1_last10", sum(tail) / len(tail)),
        ("final/test_loss_last", history[-1]["metrics"]["test/loss"]),
        ("final/train_seconds", sum(e["seconds"] / e["students"] for e in history)),
    )
