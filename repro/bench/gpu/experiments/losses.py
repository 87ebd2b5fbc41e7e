"""E9: what a loss adds to a step over KD, eager and compiled; CMKD alone at ImageNet's size."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from repro.bench.gpu.device import Run, cudnn
from repro.bench.gpu.experiments.one_student import node_counts
from repro.bench.gpu.lab import Lab, Row
from repro.bench.gpu.students import SEED, Bench, make_bench
from repro.losses import CMKD, KD, Loss, named
from repro.outputs import Batch, Outputs

METHODS = ("kd", "cmkd", "dist", "dkd", "ce")
COUNTS = (8, 1)
RECOMPILE_LIMIT = 64  # the default of 8 would end compiling silently
LARGE = (256, 1000)  # images and classes of a batch of ImageNet


def measure(lab: Lab) -> None:
    bench = make_bench(lab)
    with cudnn(benchmark=True):
        for count in lab.choose(COUNTS, (1,)):
            labels = {"part": "step", "students": count}
            makers = {method: partial(lanes, bench, method, count) for method in METHODS}
            over_kd(lab, labels, lab.compare(labels, makers, students=count))
        for method in METHODS:
            lab.row({"part": "nodes", "loss": method}, partial(nodes, bench, method))
        for compiled in (False, True):
            lab.row({"part": "large", "compiled": compiled}, partial(large, lab, compiled))
        torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
        for count in lab.choose(COUNTS, (1,)):
            labels = {"part": "compiled", "students": count}
            makers = {"kd": partial(lanes, bench, "kd", count)}
            for method in ("cmkd", "kd"):
                makers[f"{method} compiled"] = partial(compiled_lanes, bench, method, count)
            over_kd(lab, labels, lab.compare(labels, makers, students=count))


def lanes(bench: Bench, method: str, count: int) -> Run:
    return bench.lanes(bench.students(count, loss=named(method)))


def over_kd(lab: Lab, labels: Row, rows: list[Row]) -> None:
    """A row with each loss's added cost, in percent of KD's step."""
    ms = {row["form"]: row["ms_median"] for row in rows if "ms_median" in row}
    if "kd" in ms:
        added = {name: round(100 * (value / ms["kd"] - 1), 2) for name, value in ms.items()}
        lab.write(labels | {"part": f"{labels['part']} over kd", "percent": added})


def nodes(bench: Bench, method: str) -> Row:
    (student,) = bench.students(1, loss=named(method))
    return {"nodes": node_counts(bench, student)}


def compiled_lanes(bench: Bench, method: str, count: int) -> Run:
    students = bench.students(count, loss=named(method))
    shared = CompiledLoss(bench.lab, students[0].loss)
    for student in students:
        student.loss = shared
    return bench.lanes(students)


class CompiledLoss:
    """A loss and its diagnostics, each compiled on its own; the logits are all that they read."""

    def __init__(self, lab: Lab, loss: Loss) -> None:
        self.ce_weight = loss.ce_weight
        backend = "aot_eager" if lab.device.rehearsal else "inductor"
        self.terms = torch.compile(_on_logits(loss), backend=backend, dynamic=False)
        described = getattr(loss, "diagnostics", None)
        self.described = (
            torch.compile(_on_logits(described), backend=backend, dynamic=False)
            if described
            else None
        )

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        return self.terms(student.logits, teacher.logits, batch.labels)

    def diagnostics(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        if self.described is None:
            return {}
        return self.described(student.logits, teacher.logits, batch.labels)


def _on_logits(
    function: Callable[[Outputs, Outputs, Batch], dict[str, Tensor]],
) -> Callable[[Tensor, Tensor, Tensor], dict[str, Tensor]]:
    def of(student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
        batch = Batch(labels, labels, labels, labels)  # losses read the labels alone
        return function(Outputs(student_logits), Outputs(teacher_logits), batch)

    return of


def large(lab: Lab, compiled: bool) -> Row:
    """CMKD forward and backward on [256, 1000] logits, beside KD."""
    images, classes = (8, 12) if lab.device.rehearsal else LARGE
    generator = torch.Generator().manual_seed(SEED)
    drawn = torch.randn(2, images, classes, generator=generator).to(lab.device.device)
    labels = torch.randint(classes, (images,), generator=generator).to(lab.device.device)
    student, teacher = drawn[0].requires_grad_(), drawn[1]
    found: Row = {"shape": [images, classes]}
    losses: dict[str, Loss] = {"kd": KD(), "cmkd": CMKD()}
    for name, loss in losses.items():
        used = CompiledLoss(lab, loss) if compiled else loss
        work = partial(_gradient, used, student, teacher, labels)
        lab.device.reset()
        found[name] = lab.time(lab.device.record(work))
        found[name] |= {"peak_bytes": lab.device.peak_bytes()}
    return found


def _gradient(loss: Loss, student: Tensor, teacher: Tensor, labels: Tensor) -> None:
    batch = Batch(labels, labels, labels, labels)
    terms = loss(Outputs(student), Outputs(teacher), batch)
    torch.autograd.grad(torch.stack(tuple(terms.values())).sum(), student)
