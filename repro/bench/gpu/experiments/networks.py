"""E7: the other students' networks: one, eight and four of them on their lanes."""

from functools import partial

from repro.bench.gpu.device import Run, cudnn
from repro.bench.gpu.lab import Lab
from repro.bench.gpu.students import Bench, in_one_order, make_bench
from repro.spec import Precision

NETWORKS = ("resnet8x4", "vgg8", "MobileNetV2", "ShuffleV2", "wrn_16_2")
COUNTS = (1, 8, 4)


def measure(lab: Lab) -> None:
    bench = make_bench(lab)
    networks = lab.choose(NETWORKS, ("MobileNetV2",))
    with cudnn(benchmark=True):
        for precision in ("fp32", "bf16"):
            for count in lab.choose(COUNTS, (1,)):
                for network in networks:
                    compare(bench, network, count, precision)


def compare(bench: Bench, network: str, count: int, precision: Precision) -> None:
    labels = {"network": network, "students": count, "precision": precision}
    makers = {"lanes": partial(lanes, bench, network, count, precision)}
    if count == 1:
        makers["serial"] = partial(serial, bench, network, precision)
    bench.lab.compare(labels, makers, students=count)


def lanes(bench: Bench, network: str, count: int, precision: Precision) -> Run:
    return bench.lanes(bench.students(count, network, precision=precision))


def serial(bench: Bench, network: str, precision: Precision) -> Run:
    students = bench.students(1, network, precision=precision)
    return bench.lab.device.record(in_one_order(bench.feed(), students))
