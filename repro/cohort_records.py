"""The records of a cohort's runs, while this process trains them."""

import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from repro.entries import final_metrics, run_tags
from repro.errors import LeaseLost
from repro.leases import Lease
from repro.records import Record, State, Status, now_ms
from repro.resume import Place
from repro.runtime import Runtime
from repro.spec import Run, key
from repro.train import checkpoint
from repro.train.cohort import EpochReport
from repro.train.student import Student
from repro.train.weights import save_half

States = dict[str, dict[str, Tensor]]  # by key, what a checkpoint holds


class CohortRecords:
    """Every write is fenced: a run that another process has taken over meanwhile is ``lost``, its
    student ``dropped``. ``closed``: runs whose last status is written. Both by key.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.leases: dict[str, Lease] = {}
        self.lost: set[str] = set()
        self.closed: set[str] = set()

    def hold(self, run: Run) -> Record:
        """Raises LeaseLost where another process has it."""
        lease = self.runtime.leases.take(self.runtime.records.own(key(run)), "training")
        if lease is None:
            raise LeaseLost(f"{run.pair} {run.method} is trained by another process")
        self.leases[key(run)] = lease
        return self.of(run)

    def release(self) -> None:
        for lease in self.leases.values():
            self.runtime.leases.release(lease)

    def of(self, run: Run) -> Record:
        """To be written; every write raises LeaseLost once another process took the run over."""
        return replace(self.runtime.records.own(key(run)), stage=self.leases[key(run)].stage)

    @contextmanager
    def ours(self, student: Student) -> Iterator[None]:
        """Once another process has taken a run over it leaves the cohort; its neighbours go on."""
        try:
            yield
        except LeaseLost as error:
            if student.key not in self.lost:
                self._say(student, str(error))
            self.lost.add(student.key)
            student.dropped = True

    def open(self, run: Run, environment: dict[str, Any]) -> Record:
        """The record of a run that is held, with what it is and where it is trained."""
        record = self.of(run)
        record.create(run, run_tags(run) | self.runtime.tags)
        record.write_json("environment.json", environment)
        return record

    def running(self, run: Run) -> None:
        record = self.of(run)
        before = record.status()
        started = before.started_ms if before else now_ms()
        record.write_status(Status("RUNNING", started, fence=self.leases[key(run)].fence))
        self._track(run)

    def write(
        self, trained: Iterable[Student], report: EpochReport, entries: dict[str, dict[str, Any]]
    ) -> None:
        """An epoch's history; who has failed is closed."""
        for student in trained:
            with self.ours(student):
                self.of(student.run).append(entries[student.key])
                if failed := report.not_finite(student.key):
                    reason = f"{failed[0]} is not finite at epoch {report.epoch}"
                    self._say(student, reason)
                    self.close(student, "FAILED", reason)

    def check_lost(self) -> None:
        """Several processes train all of a cohort or none of it. Raises LeaseLost."""
        if self.lost and self.runtime.ranks.size > 1:
            raise LeaseLost("a run of the cohort is trained by another process")

    def track(self, students: Iterable[Student]) -> None:
        """Of those that are still ours and not closed."""
        for student in students:
            if not student.dropped and student.key not in self.closed:
                self._track(student.run)

    def save(self, students: Iterable[Student], states: States, place: Place) -> None:
        """Checkpoints of those that ``states`` has and that are still ours."""
        for student in students:
            if student.key not in states or student.dropped or student.key in self.closed:
                continue
            with self.ours(student):
                record = self.of(student.run)
                meta: dict[str, object] = {"key": student.key, "next_epoch": place.epoch}
                if place.part:
                    meta |= {"next_part": place.part, "seconds": place.seconds}
                checkpoint.save(record.checkpoint, states[student.key], meta, record.stage)

    def finish(self, student: Student) -> None:
        """Write the weights and test logits, and only then FINISHED."""
        with self.ours(student):
            record = self.of(student.run)
            save_half(student.network, record.weights, record.stage)
            assert student.test_logits is not None
            buffer = io.BytesIO()
            np.savez(buffer, logits=student.test_logits.half().cpu().numpy())
            record.write(record.test_logits.name, buffer.getvalue())
            self.close(student, "FINISHED", "")

    def close(self, student: Student, state: State, reason: str) -> None:
        record = self.of(student.run)
        status = record.status() or Status("RUNNING", now_ms())
        final = final_metrics(record.history()) if state == "FINISHED" else ()
        ended = max(now_ms(), status.started_ms)  # the clock may have jumped
        record.write_status(
            replace(status, state=state, ended_ms=ended, reason=reason, final=final)
        )
        self.closed.add(student.key)
        self._track(student.run)

    def _track(self, run: Run) -> None:
        self.runtime.tracker.update(self.runtime.records.own(key(run)))

    def _say(self, student: Student, text: str) -> None:
        self.runtime.progress.line(f"{student.run.pair} {student.run.method}: {text}")
