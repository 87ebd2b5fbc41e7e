"""E3: cohorts of students: a recording each on its own lane, fork-join in one, all in one chain."""

from functools import partial

from repro.bench.gpu.device import Run, cudnn
from repro.bench.gpu.lab import Lab
from repro.bench.gpu.students import Bench, in_one_order, learning, make_bench
from repro.spec import Precision

COUNTS = (8, 1, 16, 4, 2)
BF16_COUNTS = (8, 16, 1)


def measure(lab: Lab) -> None:
    bench = make_bench(lab)
    with cudnn(benchmark=True):
        for count in lab.choose(COUNTS, (2,)):
            compare(bench, count, "fp32", ("lanes", "serial", "fork_join"))
            if count in BF16_COUNTS:
                compare(bench, count, "bf16", ("lanes", "fork_join"))
    with cudnn(benchmark=False):  # as the engine runs
        compare(bench, lab.choose(COUNTS, (2,))[0], "fp32", ("lanes",), benchmark=False)


def compare(
    bench: Bench,
    count: int,
    precision: Precision,
    forms: tuple[str, ...],
    benchmark: bool = True,
) -> None:
    labels = {"students": count, "precision": precision, "benchmark": benchmark}
    makers = {form: partial(MAKERS[form], bench, count, precision) for form in forms}
    bench.lab.compare(labels, makers, students=count)


def lanes(bench: Bench, count: int, precision: Precision) -> Run:
    return bench.lanes(bench.students(count, precision=precision))


def fork_join(bench: Bench, count: int, precision: Precision) -> Run:
    students = bench.students(count, precision=precision)
    return bench.lab.device.fork_join(bench.feed(), learning(students))


def serial(bench: Bench, count: int, precision: Precision) -> Run:
    students = bench.students(count, precision=precision)
    return bench.lab.device.record(in_one_order(bench.feed(), students))


MAKERS = {"lanes": lanes, "fork_join": fork_join, "serial": serial}
