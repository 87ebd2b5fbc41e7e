"""E13: epochs as they are trained, with a bank-like teacher, beside the usual loop."""

import time
from collections.abc import Iterator
from functools import partial

from torch import Tensor

from repro.bench.gpu.device import cudnn
from repro.bench.gpu.lab import Lab, Row
from repro.bench.gpu.students import PROFILE, Bench, make_bench
from repro.data.batches import normalise, parts
from repro.losses import KD
from repro.spec import Precision
from repro.train.cohort import CohortData, train_cohort
from repro.train.step import RecordedStep

PAIRS = ("resnet56:resnet20", "resnet32x4:resnet8x4")
COUNT, REHEARSED_COUNT = 8, 2
SETTINGS: tuple[tuple[Precision, bool], ...] = (("fp32", True), ("bf16", True), ("fp32", False))
EPOCHS = 2  # the first one records
EVALUATION_BATCH = 1000
LOOP_STEPS = 100  # of the usual loop
STEPS_A_EPOCH = 782  # 50,000 images in batches of 64


def measure(lab: Lab) -> None:
    bench = make_bench(lab)
    pairs = lab.choose(PAIRS, ("resnet8:resnet8",))
    for precision, benchmark in SETTINGS:
        for pair in pairs:
            labels = {"pair": pair, "precision": precision, "benchmark": benchmark}
            with cudnn(benchmark=benchmark):
                lab.row({"part": "cohort"} | labels, partial(epochs, bench, pair, precision))
    for pair in pairs:
        lab.row({"part": "usual loop", "pair": pair}, partial(usual_loop, lab, pair))


def epochs(bench: Bench, pair: str, precision: Precision) -> Row:
    """Seconds of each epoch of a cohort, evaluation and the reading of metrics included."""
    count = REHEARSED_COUNT if bench.lab.device.rehearsal else COUNT
    students = bench.students(count, pair.split(":")[1], KD(), precision)
    images, test_images = bench.images, bench.lab.sizes.test_images

    def evaluation() -> Iterator[tuple[Tensor, Tensor]]:
        for part in parts(test_images, EVALUATION_BATCH):
            pixels = images.padded[part, 4:-4, 4:-4]
            yield normalise(pixels, images.mean, images.std), images.labels[part]

    data = CohortData(images, evaluation, test_images)
    step = RecordedStep(bench.teacher, images, bench.lab.device.lane)
    reports = train_cohort(students, step, data, trial=0)
    seconds, began = [], time.perf_counter()
    for _ in range(EPOCHS):
        report = next(reports)
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
    metrics = report.metrics[students[0].key]
    return {
        "students": count,
        "first_epoch_seconds": seconds[0],
        "epoch_seconds": seconds[-1],
        "seconds_per_student": seconds[-1] / count * PROFILE.stream.epochs,
        "train_loss": metrics["train/loss"],
        "peak_bytes": bench.lab.device.peak_bytes(),
    }


def usual_loop(lab: Lab, pair: str) -> Row:
    """``repro/bench/reference.py``: one student, eager, DataLoader. Needs torchvision."""
    from repro.bench import reference
    from repro.bench.inputs import random_inputs

    steps = lab.sizes.replays if lab.device.rehearsal else LOOP_STEPS
    work = reference.usual_loop(pair, random_inputs(lab.device.device, count=20_000))
    try:
        for _ in range(reference.WARM_UP_STEPS):
            next(work)
        lab.device.synchronize()
        began = time.perf_counter()
        for _ in range(steps):
            next(work)
        lab.device.synchronize()
        step_seconds = (time.perf_counter() - began) / steps
    finally:
        work.close()
    epoch_seconds = step_seconds * STEPS_A_EPOCH
    return {
        "ms": step_seconds * 1e3,
        "epoch_seconds": epoch_seconds,
        "seconds_per_student": epoch_seconds * PROFILE.stream.epochs,
    }
