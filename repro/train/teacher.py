"""Where a cohort's teacher outputs come from; see also ``repro.train.bank``."""

import copy
from dataclasses import replace
from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from repro.outputs import Batch, Outputs
from repro.spec import Precision
from repro.train.evaluate import autocast

NO_TEACHER = Outputs(logits=torch.empty(0, 0))


def no_teacher(batch: Batch) -> Outputs:  # noqa: ARG001
    """For cohorts whose losses ignore the teacher."""
    return NO_TEACHER


class LiveTeacher:
    """A finished network in eval mode, run on every batch without gradients.

    ``model``: its copy, with every BatchNorm that can be one folded into a convolution.
    """

    def __init__(self, model: nn.Module, precision: Precision) -> None:
        self.model, self.precision = fold_batch_norms(model).requires_grad_(False), precision

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Outputs:
        with autocast(batch.images.device, self.precision):
            outputs: Outputs = self.model(batch.images)
            if batch.second is not None:
                outputs = replace(outputs, second=self.model(batch.second))
        return outputs


def fold_batch_norms(model: nn.Module) -> nn.Module:
    """A copy in eval mode: a convolution and the BatchNorm that alone reads it are one convolution.

    They are neighbours in an ``nn.Sequential``, or a pair of names in their module's ``norms``. The
    norm becomes the identity. All outputs are the same up to float32 rounding.
    """
    folded = copy.deepcopy(model).eval()
    for module in folded.modules():
        names = list(module._modules) if isinstance(module, nn.Sequential) else ()
        for first, second in (*pairwise(names), *getattr(module, "norms", ())):
            conv, norm = getattr(module, first), getattr(module, second)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(conv, norm))
                setattr(module, second, nn.Identity())
    return folded.eval()
