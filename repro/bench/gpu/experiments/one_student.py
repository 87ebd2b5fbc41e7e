"""E2: one student's step by precision and layout: speed, nodes, kernels, correctness."""

from dataclasses import replace
from functools import partial

import torch

from repro.bench.gpu.device import cudnn
from repro.bench.gpu.experiments.correctness import (
    alone_or_together,
    recorded_and_eager,
    ring,
)
from repro.bench.gpu.lab import Lab, Row
from repro.bench.gpu.students import (
    EPOCH,
    Bench,
    learning,
    make_bench,
    runs_of,
)
from repro.losses import KD
from repro.outputs import Batch, Outputs
from repro.spec import Precision
from repro.train.ranks import Share
from repro.train.step import EagerStep
from repro.train.student import Student
from repro.train.weights import initial

PRECISIONS = ("fp32", "bf16", "fp16")
LAYOUTS = ("channels_last", "contiguous")
LOSS_SCALE = 1024.0  # of float16: small gradients would be zero, see Micikevicius et al. 1710.03740


def measure(lab: Lab) -> None:
    bench = make_bench(lab)
    lab.row({"part": "ring"}, partial(ring, bench))
    for deterministic in (True, False):
        for precision in ("fp32", "bf16"):
            labels = {"part": "correctness", "precision": precision, "deterministic": deterministic}
            lab.row(labels, partial(recorded_and_eager, bench, precision, deterministic))
    for benchmark in lab.choose((True, False), (True,)):
        for layout in LAYOUTS:
            for precision in PRECISIONS:
                labels = {"precision": precision, "layout": layout, "benchmark": benchmark}
                lab.row({"part": "speed"} | labels, partial(speed, bench, labels))
    lab.row({"part": "eager", "precision": "fp32"}, partial(eager_speed, bench))
    lab.row({"part": "alone_or_together"}, partial(alone_or_together, bench))
    for precision in PRECISIONS:  # last: a profiler may slow what comes after it
        labels = {"precision": precision, "layout": "channels_last", "benchmark": True}
        lab.row({"part": "kernels"} | labels, partial(kernels, bench, labels))


class Contiguous(Student):
    """As ``Student`` in the contiguous layout; its copy of the images is one node more."""

    def learn(self, batch: Batch, teacher: Outputs, share: Share | None = None) -> None:  # noqa: ARG002
        super().learn(replace(batch, images=batch.images.contiguous()), teacher)


class Half(Student):
    """As ``Student`` under float16 autocast with a static loss scale, undone by the update."""

    def learn(self, batch: Batch, teacher: Outputs, share: Share | None = None) -> None:  # noqa: ARG002
        with torch.autocast(batch.images.device.type, torch.float16):
            outputs: Outputs = self.model(batch.images)
        terms = self.loss(outputs, teacher, batch)
        total = torch.stack(tuple(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        (total * LOSS_SCALE).backward()
        self.optimizer.step()
        self._add(outputs, teacher, batch, terms | {"loss": total})


class HalfContiguous(Contiguous, Half): ...


def student_of(bench: Bench, labels: Row) -> Student:
    """A student in the precision and layout of the labels."""
    half, last = labels["precision"] == "fp16", labels["layout"] == "channels_last"
    precision: Precision = "bf16" if labels["precision"] == "bf16" else "fp32"
    sizes, device = bench.lab.sizes, bench.lab.device.device
    (run,) = runs_of(sizes.student, KD(), 1, precision, sizes.batch)
    model = initial(run, device)
    if not last:
        model = model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    forms = {(0, 1): Student, (0, 0): Contiguous, (1, 1): Half, (1, 0): HalfContiguous}
    student = forms[half, last](run, model)
    if half:  # the fused update divides by it
        student.optimizer.grad_scale = torch.tensor(LOSS_SCALE, device=device)  # type: ignore[attr-defined]
    student.begin_epoch(EPOCH)
    return student


def speed(bench: Bench, labels: Row) -> Row:
    with cudnn(benchmark=labels["benchmark"]):
        student = student_of(bench, labels)
        run = bench.lanes([student])
        found = bench.lab.time(run) | {"peak_bytes": bench.lab.device.peak_bytes()}
        loss = student.sums["train/loss"].item()
        return found | {"nodes": node_counts(bench, student), "finite": loss - loss == 0.0}


def node_counts(bench: Bench, student: Student) -> Row:
    """Of the student's step and of the feed, by kind; an error is told and loses nothing else."""
    feed, device = bench.feed(), bench.lab.device
    given = feed()
    try:
        return {
            "student": device.nodes(lambda: student.learn(*given)),
            "feed": device.nodes(feed),
        }
    except (RuntimeError, OSError, AttributeError, TypeError) as error:
        return {"error": repr(error)[:200]}


def kernels(bench: Bench, labels: Row) -> Row:
    with cudnn(benchmark=True):
        student, given = student_of(bench, labels), bench.feed()()
        return {"top": bench.lab.device.kernels(lambda: learning([student])[0](given))}


def eager_speed(bench: Bench) -> Row:
    """One student, each operation launched on its own."""
    step = EagerStep(bench.teacher, bench.images)
    step.begin(bench.students(1), bench.views)
    part = slice(0, bench.lab.sizes.batch)

    def run(times: int) -> None:
        for _ in range(times):
            step(part)

    return bench.lab.time(run)
