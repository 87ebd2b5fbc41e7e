"""E1: graphs of kernels that do nearly nothing: the gap between nodes, and the front end's rate."""

from collections.abc import Callable, Sequence
from functools import partial

import torch

from repro.bench.gpu.device import Run, fork_join
from repro.bench.gpu.lab import Lab, Row

ELEMENTS = 64
CHAIN, BRANCH = 1000, 300  # nodes
# PyTorch has 32 streams before they come round again, and a fork needs one for itself.
BRANCHES = (1, 8, 31, 2, 4, 16)
REHEARSED_NODES = 3


def measure(lab: Lab) -> None:
    lab.row({"shape": "chain", "branches": 1}, partial(chain, lab))
    for branches in lab.choose(BRANCHES, (1, 2)):
        for shape in ("fork_join", "graphs"):
            branched_row(lab, shape, branches)


def chain(lab: Lab) -> Row:
    nodes = REHEARSED_NODES if lab.device.rehearsal else CHAIN
    found = lab.time(lab.device.record(adds(lab, nodes)))
    return found | {"nodes": nodes, "us_per_node": found["ms_min"] * 1e3 / nodes}


def branched_row(lab: Lab, shape: str, branches: int) -> None:
    lab.row({"shape": shape, "branches": branches}, lambda: branched(lab, shape, branches))


def branched(lab: Lab, shape: str, branches: int) -> Row:
    """``us_per_node``: the time divided by the nodes of all branches."""
    nodes = REHEARSED_NODES if lab.device.rehearsal else BRANCH
    works = [adds(lab, nodes) for _ in range(branches)]
    found = lab.time(branched_run(lab, shape, works))
    return found | {"nodes": nodes, "us_per_node": found["ms_min"] * 1e3 / (nodes * branches)}


def branched_run(lab: Lab, shape: str, works: Sequence[Callable[[], None]]) -> Run:
    if shape == "graphs":
        return lab.device.record(*works)
    return fork_join(lab.device, works)


def adds(lab: Lab, nodes: int) -> Callable[[], None]:
    numbers = torch.zeros(ELEMENTS, device=lab.device.device)

    def work() -> None:
        for _ in range(nodes):
            numbers.add_(1)

    return work
