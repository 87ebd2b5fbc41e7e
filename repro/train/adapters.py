"""What is trained beside a student (``make_adapter`` of its loss), and networks made of both."""

from typing import cast

import torch
from torch import Tensor, nn

from repro.data.augment import PADDING, view_numbers
from repro.data.batches import TrainingImages, Views, take
from repro.data.decoding import FolderTraining
from repro.data.sizes import classes_of, side_of
from repro.losses.protocol import adapter_of, deploys
from repro.models import shapes
from repro.outputs import Batch, Outputs
from repro.seeded import seeded
from repro.spec import Run, Stream, seed

PROBE_IMAGES = 256  # whose teacher outputs an adapter may measure, such as OFD's margins


def probe_batch(images: TrainingImages | FolderTraining, stream: Stream) -> Batch:
    """The first training images as they are, neither moved nor mirrored."""
    count = min(PROBE_IMAGES, len(images.labels))
    if isinstance(images, FolderTraining):
        return images.as_they_are(count)
    offsets = torch.full((count, 2), PADDING)
    flips = torch.zeros(count, dtype=torch.bool)
    numbers = view_numbers(offsets, flips, stream.augment)
    views = Views(torch.arange(count), offsets, flips, numbers)
    return take(images, views.to(images.padded.device))


def initial_adapter(
    run: Run, teacher: Outputs, labels: Tensor, device: torch.device
) -> nn.Module | None:
    """The adapter of a run's loss with its first weights, which depend on the trial alone.

    So a method starts equal with a plug-in and without. ``teacher``: its outputs for
    ``probe_batch``; ``labels`` [N] of the training set. None where the loss has no adapter.
    """
    adapter = _adapter(run, teacher, labels)
    return None if adapter is None else adapter.to(device)


def stored_adapter(run: Run) -> nn.Module | None:
    """Like ``initial_adapter`` from shapes alone, to assign stored values to.

    What it copies from the teacher is on device meta until then.
    """
    if run.teacher is None or not deploys(run.loss):
        return None
    return _adapter(run, _shapes(run.teacher), torch.empty(0, dtype=torch.int64))


def _shapes(run: Run) -> Outputs:
    """Of a finished network's outputs, on device meta."""
    outputs = _plain_shapes(run)
    part = deploying(stored_adapter(run))
    return outputs if part is None else part.to("meta").deploy(outputs)  # type: ignore[operator]


def _plain_shapes(run: Run) -> Outputs:
    return shapes(run.network, classes_of(run.stream), side_of(run.stream))


def _adapter(run: Run, teacher: Outputs, labels: Tensor) -> nn.Module | None:
    student = _plain_shapes(run)
    with seeded(seed("adapter", run.trial)):
        return adapter_of(run.loss, student, teacher, labels)


class Deployed(nn.Module):
    """A network whose classifier an adapter replaces, for good."""

    def __init__(self, model: nn.Module, adapter: nn.Module) -> None:
        super().__init__()
        self.model, self.adapter = model, adapter

    def forward(self, images: Tensor) -> Outputs:
        return cast(Outputs, self.adapter.deploy(self.model(images)))  # type: ignore[operator]


def deployed(model: nn.Module, adapter: nn.Module | None) -> nn.Module:
    """The network that answers: the model, with the part of ``adapter`` that has ``deploy``."""
    part = deploying(adapter)
    return model if part is None else Deployed(model, part)


def deploying(adapter: nn.Module | None) -> nn.Module | None:
    """The adapter, or its part in a sum, that replaces the classifier; None where none does."""
    parts = adapter if isinstance(adapter, nn.ModuleList) else [adapter]
    return next((part for part in parts if part and hasattr(part, "deploy")), None)
