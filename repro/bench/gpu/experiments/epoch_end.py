"""E11: what an epoch costs beside its steps: evaluation, snapshots, and recording anew."""

import time
from collections.abc import Callable
from functools import partial
from statistics import median

import torch
from torch import Tensor

from repro.bench.gpu.lab import Lab, Row
from repro.bench.gpu.students import EPOCH, PROFILE, Bench, make_bench
from repro.data.batches import epoch_views, normalise
from repro.losses import named
from repro.spec import Precision
from repro.train.step import RecordedStep
from repro.train.student import end_epoch

EVALUATION_BATCHES = (250, 1000, 2000)
RECORDED_AGAIN = 4  # epochs whose loss has new weights, so that all recordings are dropped
METHODS = ("kd", "dkd", "cmkd")


def measure(lab: Lab) -> None:
    bench = make_bench(lab)
    for precision in ("fp32", "bf16"):
        for batch in EVALUATION_BATCHES:
            labels = {"part": "evaluation", "precision": precision, "batch": batch}
            lab.row(labels, partial(evaluation, bench, precision, batch))
    lab.row({"part": "snapshot"}, partial(snapshot, bench))
    for method in METHODS:
        lab.row({"part": "recording", "loss": method}, partial(recording, bench, method))
    lab.row({"part": "warm-up"}, partial(recorded_every_epoch, bench))
    lab.row({"part": "views"}, partial(views, bench))


def seconds_of(lab: Lab, work: Callable[[], object]) -> dict[str, float]:
    """Wall-clock seconds, the device's work included; the first is apart."""
    found = []
    for _ in range(1 + lab.sizes.repeats):
        lab.device.synchronize()
        began = time.perf_counter()
        work()
        lab.device.synchronize()
        found.append(time.perf_counter() - began)
    return {"first_seconds": found[0], "seconds": median(found[1:])}


def evaluation(bench: Bench, precision: Precision, batch: int) -> Row:
    """The end of an epoch on normalised images that are made anew each time, as in training."""
    (student,) = bench.students(1, precision=precision)
    pixels = bench.images.padded[: bench.lab.sizes.test_images, 4:-4, 4:-4]
    labels = bench.images.labels[: len(pixels)]

    def batches() -> list[tuple[Tensor, Tensor]]:
        pairs = zip(pixels.split(batch), labels.split(batch), strict=True)
        return [(normalise(p, bench.images.mean, bench.images.std), y) for p, y in pairs]

    def end() -> None:
        end_epoch([student], 0, bench.lab.sizes.images, batches)

    return seconds_of(bench.lab, end) | {"images": len(pixels)}


def snapshot(bench: Bench) -> Row:
    """A checkpoint's tensors on the host: one copy each, and as one vector."""
    (student,) = bench.students(1)

    def each() -> None:
        for tensor in student.state().values():
            tensor.detach().to("cpu", copy=True)

    def at_once() -> None:
        torch.cat([t.detach().reshape(-1).float() for t in student.state().values()]).cpu()

    return {
        "tensors": len(student.state()),
        "each": seconds_of(bench.lab, each),
        "at_once": seconds_of(bench.lab, at_once),
    }


def recording(bench: Bench, method: str) -> Row:
    """A student's step recorded, each on a lane of its own; all are kept, as in a cohort."""
    given = bench.feed()()
    kept, seconds = [], []
    for student in bench.students(1 + bench.lab.sizes.repeats, loss=named(method)):
        lane = bench.lab.device.lane()
        began = time.perf_counter()
        kept.append((lane, lane.record(partial(student.learn, *given))))
        bench.lab.device.synchronize()
        seconds.append(time.perf_counter() - began)
    return {"first_seconds": seconds[0], "seconds": median(seconds[1:])}


def recorded_every_epoch(bench: Bench) -> Row:
    """DKD warms up for 20 epochs: RecordedStep drops a student's recordings and makes new ones on
    the same lane. Seconds of the first epoch's first steps, and of a later one's."""
    students = bench.students(2, loss=named("dkd"))
    step = RecordedStep(bench.teacher, bench.images, bench.lab.device.lane)
    found = []
    for epoch in range(1 + RECORDED_AGAIN):
        for student in students:
            student.begin_epoch(epoch)
        bench.lab.device.synchronize()
        began = time.perf_counter()
        step.begin(students, bench.views)
        for _ in range(RecordedStep.RING):
            step(slice(0, bench.lab.sizes.batch))
        step.end()
        bench.lab.device.synchronize()
        found.append(time.perf_counter() - began)
    recordings = len(students) * RecordedStep.RING
    return {
        "first_seconds": found[0],
        "later_seconds": median(found[1:]),
        "seconds_per_recording": median(found[1:]) / recordings,
        "epochs": len(found),
    }


def views(bench: Bench) -> Row:
    """Drawing an epoch's views on the processor, and bringing them to the device."""
    count = bench.lab.sizes.images
    drawn = seconds_of(bench.lab, lambda: epoch_views(PROFILE.stream, 0, EPOCH, count))
    host = epoch_views(PROFILE.stream, 0, EPOCH, count)
    brought = seconds_of(bench.lab, lambda: host.to(bench.lab.device.device))
    return {"drawn": drawn, "brought": brought}
