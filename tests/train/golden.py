"""The losses of 20 steps for each method; ``python -m tests.train.golden`` records them anew.

Do so only for a change that is meant to change training, and say why in its commit.

In float64: in float32 another processor's rounding grows to 5 % within the 20 steps (DIST; the
gradient of a correlation is large where a new network's logits are small).
"""

import json
from dataclasses import replace
from pathlib import Path

import torch

from repro.data.batches import batches
from repro.losses import named
from repro.outputs import Batch, Outputs
from repro.train.student import Student
from repro.train.weights import initial
from tests import tiny

FILE = Path(__file__).parents[1] / "golden" / "curves.json"
METHODS = (*tiny.METHODS, "kd+ls")
STREAM = replace(tiny.STREAM, batch_size=16, epochs=4)  # 5 steps an epoch


def curve(method: str) -> list[float]:
    """The objective at each of 20 steps."""
    run = tiny.run(stream=STREAM, loss=named(method))
    student = Student(run, initial(run, tiny.CPU).double())
    losses = []
    for epoch in range(STREAM.epochs):
        for batch in batches(tiny.cohort_data().training, STREAM, trial=1, epoch=epoch):
            student.begin_epoch(epoch)  # sums start anew, so that they are this step's
            images = Batch(batch.images.double(), batch.labels, batch.indices, batch.views)
            student.learn(images, Outputs(tiny.sure_teacher(batch).logits.double()))
            losses.append((student.sums["train/loss"] / len(batch.labels)).item())
    return losses


def main() -> None:
    torch.set_num_threads(1)
    curves = {method: [float(f"{loss:.7g}") for loss in curve(method)] for method in METHODS}
    lines = (f" {json.dumps(method)}: {json.dumps(losses)}" for method, losses in curves.items())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
