"""E5: all students as one stacked network (``torch.func``): grouped convolutions, folded norms."""

import copy
from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from repro.bench.gpu.device import Run, cudnn
from repro.bench.gpu.lab import Lab, Row
from repro.bench.gpu.students import Bench, make_bench
from repro.losses import KD
from repro.outputs import Batch, Outputs
from repro.spec import Precision
from repro.train.evaluate import autocast

COUNTS = (8, 16)
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
LAYOUTS = ("contiguous", "channels_last")
CHECKED_STEPS = 3


def measure(lab: Lab) -> None:
    bench = make_bench(lab)
    counts = lab.choose(COUNTS, (2,))
    lab.row({"part": "correctness"}, partial(against_separate, bench))
    with cudnn(benchmark=True):
        for layout in LAYOUTS:
            for count in counts:
                for precision in PRECISIONS:
                    labels = {"students": count, "precision": precision, "layout": layout}
                    makers = {"stacked": partial(stacked, bench, count, precision, layout)}
                    lab.compare(labels, makers, students=count)


class Stack:
    """Students of one network with all their tensors stacked: one step teaches them all."""

    def __init__(self, bench: Bench, count: int, precision: Precision, layout: str) -> None:
        students = bench.students(count, precision=precision)
        models: list[nn.Module] = [student.model for student in students]
        self.parameters, self.buffers = stack_module_state(models)
        self.skeleton = copy.deepcopy(models[0]).to("meta")
        self.loss, self.precision = KD(), precision
        self.layout = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        optim = students[0].run.optim
        self.optimizer = torch.optim.SGD(
            self.parameters.values(),
            lr=students[0].rate,
            momentum=optim.momentum,
            weight_decay=optim.weight_decay,
            fused=True,
        )
        for parameter in self.parameters.values():  # zeros: the first step is like every other
            state = self.optimizer.state[parameter]
            state["momentum_buffer"] = torch.zeros_like(parameter)
        self.sums = torch.zeros(count, device=students[0].rate.device)

    def learn(self, batch: Batch, teacher: Outputs) -> None:
        images = batch.images.contiguous(memory_format=self.layout)

        def logits_of(parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            with autocast(images.device, self.precision):
                return functional_call(self.skeleton, (parameters, buffers), (images,)).logits

        logits = vmap(logits_of)(self.parameters, self.buffers)  # [S, B, K]
        losses = kd_losses(self.loss, logits, teacher.logits, batch.labels)  # [S]
        self.optimizer.zero_grad(set_to_none=True)
        losses.sum().backward()
        self.optimizer.step()
        self.sums.add_(losses.detach(), alpha=len(batch.labels))


def kd_losses(loss: KD, logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
    """KD of every student [S]: ``logits`` [S, B, K], ``teacher_logits`` [B, K], ``labels`` [B].

    By hand: PyTorch's divergence under vmap falls back to a loop over the students.
    """
    log_p = F.log_softmax(logits / loss.temperature, dim=-1)
    log_q = F.log_softmax(teacher_logits / loss.temperature, dim=-1)
    kl = (log_q.exp() * (log_q - log_p)).sum(-1).mean(-1) * loss.temperature**2
    expanded = labels.expand(len(logits), -1).unsqueeze(-1)
    ce = -F.log_softmax(logits, dim=-1).gather(-1, expanded).squeeze(-1).mean(-1)
    return loss.ce_weight * ce + loss.kd_weight * kl


def stacked(bench: Bench, count: int, precision: Precision, layout: str) -> Run:
    stack, feed = Stack(bench, count, precision, layout), bench.feed()
    return bench.lab.device.record(lambda: stack.learn(*feed()))


def against_separate(bench: Bench) -> Row:
    """The largest differences after a few eager steps, stacked and separate."""
    stack, students = Stack(bench, 2, "fp32", "channels_last"), bench.students(2)
    feed = bench.feed()
    with cudnn(benchmark=False, deterministic=True):
        for _ in range(CHECKED_STEPS):
            given = feed()
            stack.learn(*given)
            for student in students:
                student.learn(*given)
    models = [student.model for student in students]
    return {
        "steps": CHECKED_STEPS,
        "parameters": largest(stack.parameters, [dict(m.named_parameters()) for m in models]),
        "statistics": largest(stack.buffers, [dict(m.named_buffers()) for m in models]),
    }


def largest(
    stacked_tensors: Mapping[str, Tensor], separate: Sequence[Mapping[str, Tensor]]
) -> float:
    """The largest absolute difference."""
    return max(
        (tensor - stacked_tensors[name][number]).abs().max().item()
        for number, tensors in enumerate(separate)
        for name, tensor in tensors.items()
    )
