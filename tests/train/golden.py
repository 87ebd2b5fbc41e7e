"""The losses of 20 steps for each method; ``python -m tests.train.golden`` records them anew.

Do so only for a change that is meant to change training, and say why in its commit.

In float64: in float32 another processor's rounding grows to 5 % within the 20 steps (DIST; the
gradient of a correlation is large where a new network's logits are small).
"""

import copy
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch
from torch import nn

from repro import losses
from repro.data.batches import batches
from repro.outputs import Batch, Outputs
from repro.spec import Stream
from repro.train.adapters import initial_adapter, probe_batch
from repro.train.student import Student
from repro.train.weights import initial
from tests import tiny
from tests.losses.made import tensors_to

FILE = Path(__file__).parents[1] / "golden" / "curves.json"
METHODS = losses.METHODS
STREAM = replace(tiny.STREAM, batch_size=16, epochs=4)  # 5 steps an epoch


@cache
def network() -> nn.Module:
    return copy.deepcopy(tiny.live_teacher().model).double()


@torch.no_grad()
def teacher(batch: Batch) -> Outputs:
    """The logits of a sure teacher, and the features of an untrained network."""
    logits = tiny.sure_teacher(batch).logits.double()
    second = (
        batch.second if batch.second is None else replace(network()(batch.second), logits=logits)
    )
    return replace(network()(batch.images), logits=logits, second=second)


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


def curve(method: str) -> list[float]:
    """The objective at each step."""
    plain = tiny.run(method)
    stream = replace(STREAM, second_view=plain.stream.second_view)
    run, images = replace(plain, stream=stream), tiny.cohort_data().training
    probe = teacher(tensors_to(probe_batch(images, stream), torch.float64))
    adapter = initial_adapter(run, probe, images.labels, tiny.CPU)
    student = Student(run, initial(run, tiny.CPU).double(), adapter and adapter.double())
    found = []
    for epoch, batch, outputs in steps(stream):
        student.begin_epoch(epoch)  # sums start anew, so that they are this step's
        student.learn(batch, outputs)
        found.append((student.sums["train/loss"] / len(batch.labels)).item())
    return found


def main() -> None:
    torch.set_num_threads(1)
    curves = {method: [float(f"{loss:.7g}") for loss in curve(method)] for method in METHODS}
    lines = (f" {json.dumps(method)}: {json.dumps(values)}" for method, values in curves.items())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
