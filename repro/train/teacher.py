"""Where a cohort's teacher outputs come from."""

import torch
from torch import nn

from repro.outputs import Batch, Outputs
from repro.spec import Precision
from repro.train.evaluate import autocast

NO_TEACHER = Outputs(logits=torch.empty(0, 0))


def no_teacher(batch: Batch) -> Outputs:  # noqa: ARG001
    """For cohorts whose losses ignore the teacher."""
    return NO_TEACHER


class LiveTeacher:
    """A finished network in eval mode, run on every batch without gradients."""

    def __init__(self, model: nn.Module, precision: Precision) -> None:
        self.model, self.precision = model.eval().requires_grad_(False), precision

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Outputs:
        with autocast(batch.images.device, self.precision):
            return self.model(batch.images)
