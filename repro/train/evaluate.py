"""Accuracy of a network in eval mode, without augmentation."""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.spec import Precision


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@torch.inference_mode()
def predict(
    model: nn.Module,
    evaluation: Iterable[tuple[Tensor, Tensor]],
    precision: Precision = "fp32",
    tick: Callable[[], None] = lambda: None,
) -> tuple[Tensor, Tensor]:
    """Logits [N, K] and labels [N] on the model's device; ``tick`` runs before every batch."""
    model.eval()
    logits, labels = [], []
    for images, batch_labels in evaluation:
        tick()
        with autocast(images.device, precision):
            logits.append(model(images).logits.float())
        labels.append(batch_labels)
    return torch.cat(logits), torch.cat(labels)


def scores(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Mean cross-entropy and top-1 accuracy in percent, as 0-d tensors (no host sync)."""
    hits = logits.argmax(dim=1) == labels
    return {
        "test/loss": F.cross_entropy(logits, labels),
        "test/top1": hits.float().mean() * 100,
    }
