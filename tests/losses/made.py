"""Made-up outputs of a student and a teacher with everything that a loss may read."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.losses import Loss
from repro.losses.protocol import adapter_of, terms_of
from repro.outputs import Batch, Outputs

STUDENT_CHANNELS, TEACHER_CHANNELS = (3, 4, 6, 8), (4, 5, 7, 9)
SIZES = (8, 8, 4, 2)
TRAINING_IMAGES = 40


@dataclass(frozen=True)
class Case:
    """What a step gives a loss. ``labels`` [N]: of the whole training set."""

    student: Outputs
    teacher: Outputs
    batch: Batch
    labels: Tensor


def made(
    seed: int = 0, *, batch: int = 6, classes: int = 5, dtype: torch.dtype = torch.float64
) -> Case:
    """A student and a teacher of other channels but the same map sizes; both see a second view."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (TRAINING_IMAGES,), generator=draw)
    indices = torch.randperm(TRAINING_IMAGES, generator=draw)[:batch]
    images = torch.randn(batch, 3, 4, 4, generator=draw, dtype=dtype)
    student, teacher = (
        replace(_outputs(draw, batch, classes, widths, dtype), second=second)
        for widths in (STUDENT_CHANNELS, TEACHER_CHANNELS)
        for second in [_outputs(draw, batch, classes, widths, dtype)]
    )
    views = torch.zeros(batch, dtype=torch.int64)
    return Case(student, teacher, Batch(images, labels[indices], indices, views, images), labels)


def _outputs(
    draw: torch.Generator, batch: int, classes: int, widths: tuple[int, ...], dtype: torch.dtype
) -> Outputs:
    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=dtype)

    before = tuple(
        normal(batch, width, size, size) for width, size in zip(widths, SIZES, strict=True)
    )
    features = tuple(F.softplus(m) for m in before)  # a ReLU's zeros would have no slope
    maps = features[-1]
    weight, bias = normal(classes, widths[-1]), normal(classes)
    pooled = maps.mean(dim=(2, 3))
    return Outputs(
        logits=3 * pooled @ weight.T + bias,
        features=features,
        preactivations=before,
        pooled=pooled,
        maps=maps,
        classifier=(3 * weight, bias),
    )


def adapter(loss: Loss, case: Case, seed: int = 0) -> nn.Module | None:
    """The loss's adapter with weights from ``seed``, in the type of the case's logits."""
    shapes = tensors_to(case.student, "meta")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = adapter_of(loss, shapes, case.teacher, case.labels)
    return None if module is None else module.to(case.student.logits.dtype)


def terms(loss: Loss, case: Case, module: nn.Module | None = None) -> dict[str, Tensor]:
    """The loss's terms; with a new adapter where none is given."""
    module = adapter(loss, case) if module is None else module
    student = case.student
    for part in module if isinstance(module, nn.ModuleList) else [module]:
        student = part.deploy(student) if hasattr(part, "deploy") else student
    return terms_of(loss, student, case.teacher, case.batch, module)


def total(loss: Loss, case: Case, module: nn.Module | None = None) -> Tensor:
    return torch.stack(tuple(terms(loss, case, module).values())).sum()


def tensors_to(value: Any, *where: Any) -> Any:
    """``Tensor.to`` for every floating tensor within Outputs and Batches; device names move all."""
    if isinstance(value, Tensor):
        move = value.is_floating_point() or not isinstance(where[0], torch.dtype)
        return value.to(*where) if move else value
    if isinstance(value, tuple):
        return tuple(tensors_to(item, *where) for item in value)
    if isinstance(value, Outputs | Batch | Case):
        changed = {f.name: tensors_to(getattr(value, f.name), *where) for f in fields(value)}
        return replace(value, **changed)
    return value
