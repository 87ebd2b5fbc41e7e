"""E14: does CUDA's default of 8 connections hold back many streams? (E1 and E3 use 32.)"""

from functools import partial

from repro.bench.gpu.experiments.null_graphs import branched_row
from repro.bench.gpu.lab import Lab
from repro.bench.gpu.students import make_bench

BRANCHES = (8, 16, 31)
COUNTS = (8, 16)


def measure(lab: Lab) -> None:
    for branches in lab.choose(BRANCHES, (2,)):
        branched_row(lab, "graphs", branches)
    bench = make_bench(lab)
    for count in lab.choose(COUNTS, (2,)):
        makers = {"lanes": partial(lambda n: bench.lanes(bench.students(n)), count)}
        lab.compare({"students": count, "precision": "fp32"}, makers, students=count)
