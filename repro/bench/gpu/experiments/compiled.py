"""E6: torch.compile of network and loss in its default mode, then recorded by hand."""

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from repro.bench.gpu.device import Run, cudnn
from repro.bench.gpu.experiments.one_student import node_counts
from repro.bench.gpu.lab import Lab, Row
from repro.bench.gpu.students import Bench, Given, in_one_order, learning, make_bench
from repro.losses import Loss
from repro.outputs import Batch, Outputs
from repro.spec import Precision
from repro.train.evaluate import autocast
from repro.train.ranks import Share
from repro.train.student import Student

Objective = Callable[[nn.Module, Batch, Outputs], tuple[dict[str, Tensor], Tensor]]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
COUNT = 8  # students that share what was compiled
RECOMPILE_LIMIT = 64  # the default of 8 would end compiling silently


def measure(lab: Lab) -> None:
    torch._dynamo.config.recompile_limit = RECOMPILE_LIMIT
    bench = make_bench(lab)
    with cudnn(benchmark=True):
        for forced in lab.choose((False, True), (True,)):
            for precision in lab.choose(PRECISIONS, ("bf16",)):
                labels = {"precision": precision, "forced_channels_last": forced}
                one_setting(bench, precision, labels)


def one_setting(bench: Bench, precision: Precision, labels: Row) -> None:
    """Compile anew, then the speed of one student and of a cohort."""
    torch._dynamo.reset()
    if labels["forced_channels_last"]:  # Inductor's own rule is against it where channels are few
        import torch._inductor.config as inductor

        inductor.force_layout_optimization = True
    students: list[Student] = []
    measure = partial(first_steps, bench, precision, students)
    made = bench.lab.row({"part": "compile"} | labels, measure)
    if "seconds" not in made:
        return
    device, feed = bench.lab.device, bench.feed()
    makers: dict[str, Callable[[], Run]] = {
        "compiled_serial": lambda: device.record(in_one_order(feed, students[:1]))
    }
    bench.lab.compare(labels | {"students": 1}, makers, students=1)
    makers = {"compiled_fork_join": lambda: device.fork_join(feed, learning(students))}
    bench.lab.compare(labels | {"students": len(students)}, makers, students=len(students))


def first_steps(bench: Bench, precision: Precision, students: list[Student]) -> Row:
    """Fill ``students``; seconds of the first one's first step, and of another's."""
    objective = compiled_objective(bench.lab, precision, bench.students(1)[0].loss)
    count = 2 if bench.lab.device.rehearsal else COUNT
    for plain in bench.students(count, precision=precision):
        students.append(Compiled(plain, objective))
    given = bench.feed()()
    seconds = [_seconds(bench.lab, student, given) for student in students[:2]]
    return {
        "seconds": seconds[0],
        "another_seconds": seconds[1],
        "graph_breaks": dict(counters["graph_break"]),
        "nodes": node_counts(bench, students[0]),
    }


def _seconds(lab: Lab, student: Student, given: Given) -> float:
    began = time.perf_counter()
    student.learn(*given)
    lab.device.synchronize()
    return time.perf_counter() - began


class Compiled(Student):
    """As the student it is made of, its forward and backward pass compiled."""

    def __init__(self, plain: Student, objective: Objective) -> None:
        super().__init__(plain.run, plain.model)
        self.rate.copy_(plain.rate)
        self.objective = objective

    def learn(self, batch: Batch, teacher: Outputs, share: Share | None = None) -> None:  # noqa: ARG002
        terms, logits = self.objective(self.model, batch, teacher)
        total = torch.stack(tuple(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        self._add(Outputs(logits.detach()), teacher, batch, terms | {"loss": total})


def compiled_objective(lab: Lab, precision: Precision, loss: Loss) -> Objective:
    """The network is an argument: students of one network share what was compiled."""

    @torch.compile(backend="aot_eager" if lab.device.rehearsal else "inductor", dynamic=False)
    def objective(
        model: nn.Module, images: Tensor, labels: Tensor, teacher_logits: Tensor
    ) -> tuple[dict[str, Tensor], Tensor]:
        with autocast(images.device, precision):
            outputs = model(images)
        batch = Batch(images, labels, labels, labels)
        return loss(outputs, Outputs(teacher_logits), batch), outputs.logits

    return lambda model, batch, teacher: objective(
        model, batch.images, batch.labels, teacher.logits
    )
