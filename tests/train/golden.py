"""The losses of 20 steps for each method; ``python -m tests.train.golden`` records them anew.

Do so only for a change that is meant to change training, and say why in its commit.

In float64: in float32 another processor's rounding grows to 5 % within the 20 steps (DIST; the
gradient of a correlation is large where a new network's logits are small). RKKD's tanh(100 x) makes
2e-3 even of float64's rounding: it is followed at tanh(x). A curve that a change of 1e-12 of the
first weights moves by half the test's tolerance is not recorded.
"""

import copy
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import nn

from repro import losses
from repro.data.batches import batches
from repro.losses.rkkd import RKKD
from repro.outputs import Batch, Outputs
from repro.spec import Run, Stream
from repro.train.adapters import initial_adapter, probe_batch
from repro.train.student import Student
from repro.train.weights import initial
from tests import tiny
from tests.losses.made import tensors_to

FILE = Path(__file__).parents[1] / "golden" / "curves.json"
METHODS = losses.METHODS
STREAM = replace(tiny.STREAM, batch_size=16, epochs=4)  # 5 steps an epoch
TOLERANCE = 1e-4
NUDGE = 1e-12


@cache
def teacher_network() -> nn.Module:
    return copy.deepcopy(tiny.live_teacher().model).double()


@torch.no_grad()
def teacher(batch: Batch) -> Outputs:
    """The logits of a sure teacher, and the features of an untrained network."""
    logits = tiny.sure_teacher(batch).logits.double()
    network, second = teacher_network(), None
    if batch.second is not None:
        second = replace(network(batch.second), logits=logits)
    return replace(network(batch.images), logits=logits, second=second)


@cache
def steps(stream: Stream) -> list[tuple[int, Batch, Outputs]]:
    """Epoch, batch and teacher of each of 20 steps."""
    images = tiny.cohort_data().training
    taken = [
        (epoch, tensors_to(batch, torch.float64))
        for epoch in range(stream.epochs)
        for batch in batches(images, stream, trial=1, epoch=epoch)
    ]
    return [(epoch, batch, teacher(batch)) for epoch, batch in taken]


def chosen(method: str) -> Run:
    run = tiny.run(method)
    loss = replace(run.loss, steepness=1.0) if isinstance(run.loss, RKKD) else run.loss
    return replace(run, loss=loss, stream=replace(STREAM, second_view=run.stream.second_view))


def nudged(network: nn.Module, nudge: float) -> nn.Module:
    """The network with every weight changed by about so much of itself."""
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            weight *= 1 + nudge * torch.randn(weight.shape, generator=random, dtype=weight.dtype)
    return network


def curve(method: str, nudge: float = 0.0) -> list[float]:
    """The objective at each step."""
    run, images = chosen(method), tiny.cohort_data().training
    stream = run.stream
    probe = teacher(tensors_to(probe_batch(images, stream), torch.float64))
    adapter = initial_adapter(run, probe, images.labels, tiny.CPU)
    network = nudged(initial(run, tiny.CPU).double(), nudge)
    student = Student(run, network, adapter and adapter.double())
    found = []
    for epoch, batch, outputs in steps(stream):
        student.begin_epoch(epoch)  # sums start anew, so that they are this step's
        student.learn(batch, outputs)
        found.append((student.sums["train/loss"] / len(batch.labels)).item())
    return found


def main() -> None:
    torch.set_num_threads(1)
    curves = {}
    for method in METHODS:
        found, moved = curve(method), curve(method, NUDGE)
        if moved != pytest.approx(found, rel=TOLERANCE / 2):
            raise SystemExit(f"{method}: a change of {NUDGE:g} of the weights moves its curve")
        curves[method] = [float(f"{loss:.7g}") for loss in found]
    lines = (f" {json.dumps(method)}: {json.dumps(values)}" for method, values in curves.items())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
