"""E10: the update of a cohort's weights alone: one optimiser a student, one for all, flat, foreach.

All do Student's arithmetic: m = momentum m + (g + decay w); w = w - rate m.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from repro.bench.gpu.device import Run, fork_join
from repro.bench.gpu.experiments.one_student import node_counts
from repro.bench.gpu.lab import Lab, Row
from repro.bench.gpu.students import Bench, make_bench
from repro.train.student import Student

COUNT, REHEARSED = 8, 2


def measure(lab: Lab) -> None:
    bench = make_bench(lab)
    count = REHEARSED if lab.device.rehearsal else COUNT
    forms = {
        "fused each, serial": fused_serial,
        "fused each, streams": fused_streams,
        "fused all": fused_all,
        "foreach all": foreach_all,
        "flat, gradients copied": flat_copied,
        "flat, gradients in place": flat_in_place,
    }
    makers = {name: partial(form, bench, count) for name, form in forms.items()}
    lab.compare({"part": "update", "students": count}, makers)
    lab.row({"part": "nodes"}, lambda: nodes(bench))


def learned(bench: Bench, count: int) -> list[Student]:
    """Students after a step: every parameter has its gradient."""
    students, given = bench.students(count), bench.feed()()
    for student in students:
        student.learn(*given)
    return students


def fused_serial(bench: Bench, count: int) -> Run:
    students = learned(bench, count)
    return bench.lab.device.record(lambda: [s.optimizer.step() for s in students])


def fused_streams(bench: Bench, count: int) -> Run:
    students = learned(bench, count)
    return fork_join(bench.lab.device, [student.optimizer.step for student in students])


@dataclass(frozen=True, eq=False)
class Lists:
    """Weights, gradients and momenta of all students, tensor by tensor."""

    weights: list[Tensor]
    gradients: list[Tensor]
    momenta: list[Tensor]
    rate: Tensor
    momentum: float
    decay: float


def lists_of(students: Sequence[Student]) -> Lists:
    weights: list[Tensor] = [p for student in students for p in student.model.parameters()]
    optim = students[0].run.optim
    return Lists(
        weights=weights,
        gradients=[weight.grad for weight in weights if weight.grad is not None],
        momenta=[torch.zeros_like(weight) for weight in weights],
        rate=students[0].rate,
        momentum=optim.momentum,
        decay=optim.weight_decay,
    )


def fused_all(bench: Bench, count: int) -> Run:
    """One optimiser for all students; they would have to share a rate."""
    lists = lists_of(learned(bench, count))
    optimizer = torch.optim.SGD(
        lists.weights,
        lr=lists.rate,
        momentum=lists.momentum,
        weight_decay=lists.decay,
        fused=True,
    )
    for weight, momentum in zip(lists.weights, lists.momenta, strict=True):
        optimizer.state[weight]["momentum_buffer"] = momentum
    return bench.lab.device.record(optimizer.step)


def foreach_all(bench: Bench, count: int) -> Run:
    lists = lists_of(learned(bench, count))

    @torch.no_grad()
    def work() -> None:
        torch._foreach_mul_(lists.momenta, lists.momentum)
        torch._foreach_add_(lists.momenta, lists.gradients)
        torch._foreach_add_(lists.momenta, lists.weights, alpha=lists.decay)
        steps = torch._foreach_mul(lists.momenta, lists.rate)
        torch._foreach_sub_(lists.weights, steps)

    return bench.lab.device.record(work)


@dataclass(frozen=True, eq=False)
class Flat:
    """All students' weights, gradients and momenta as one vector each; a rate for each element."""

    weights: Tensor
    gradients: Tensor
    momenta: Tensor
    rates: Tensor
    momentum: float
    decay: float

    @torch.no_grad()
    def update(self) -> None:
        self.momenta.mul_(self.momentum).add_(self.gradients)
        self.momenta.add_(self.weights, alpha=self.decay)
        self.weights.addcmul_(self.momenta, self.rates, value=-1)


def flat_of(lists: Lists) -> Flat:
    weights = torch.cat([w.detach().reshape(-1) for w in lists.weights])
    zeros = torch.zeros_like(weights)
    rates = lists.rate.expand_as(weights).contiguous()
    return Flat(weights, zeros, zeros.clone(), rates, lists.momentum, lists.decay)


def flat_copied(bench: Bench, count: int) -> Run:
    """The gradients lie where autograd puts them, and are copied together."""
    lists = lists_of(learned(bench, count))
    flat = flat_of(lists)
    sizes = [gradient.numel() for gradient in lists.gradients]
    places = [  # in the gradient's own layout: only then are all copied at once
        place.as_strided(gradient.shape, gradient.stride(), place.storage_offset())
        for place, gradient in zip(flat.gradients.split(sizes), lists.gradients, strict=True)
    ]

    def work() -> None:
        torch._foreach_copy_(places, lists.gradients)
        flat.update()

    return bench.lab.device.record(work)


def flat_in_place(bench: Bench, count: int) -> Run:
    """Autograd would add into the flat gradient, which then has to be zeroed."""
    flat = flat_of(lists_of(learned(bench, count)))

    def work() -> None:
        flat.update()
        flat.gradients.zero_()

    return bench.lab.device.record(work)


def nodes(bench: Bench) -> Row:
    """Of a whole step, and of its update."""
    (student,) = learned(bench, 1)
    update = bench.lab.device.nodes(student.optimizer.step)
    return {"step": node_counts(bench, student), "update": update}
