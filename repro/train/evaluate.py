"""Accuracy of a network in eval mode, without augmentation."""

from collections.abc import Callable, Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from repro.spec import Precision

TOP = 5


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def predict(
    model: nn.Module,
    evaluation: Iterable[tuple[Tensor, Tensor]],
    precision: Precision = "fp32",
    tick: Callable[[], None] = lambda: None,
) -> tuple[Tensor, Tensor]:
    """Logits [N, K] and labels [N] on the model's device; ``tick`` runs before every batch."""
    (logits,), labels = predict_all([model], evaluation, precision, tick)
    return logits, labels


@torch.inference_mode()
def predict_all(
    models: Sequence[nn.Module],
    evaluation: Iterable[tuple[Tensor, Tensor]],
    precision: Precision = "fp32",
    tick: Callable[[], None] = lambda: None,
) -> tuple[list[Tensor], Tensor]:
    """As ``predict``, of several models at once: each batch is made once. Logits in their order."""
    logits: list[list[Tensor]] = [[] for _ in models]
    labels = []
    for model in models:
        model.eval()
    for images, batch_labels in evaluation:
        tick()
        with autocast(images.device, precision):
            for model, found in zip(models, logits, strict=True):
                found.append(model(images).logits.float())
        labels.append(batch_labels)
    return [torch.cat(found) for found in logits], torch.cat(labels)


def scores(logits: Tensor, labels: Tensor, *, top5: bool = False) -> dict[str, Tensor]:
    """Mean cross-entropy and top-1 accuracy in percent, as 0-d tensors (no host sync).

    ``top5``: also whether the label is among the five largest logits, where there are more classes.
    """
    hits = logits.argmax(dim=1) == labels
    found = {
        "test/loss": F.cross_entropy(logits, labels),
        "test/top1": hits.float().mean() * 100,
    }
    if top5 and logits.shape[1] > TOP:
        among = (logits.topk(TOP, dim=1).indices == labels[:, None]).any(dim=1)
        found["test/top5"] = among.float().mean() * 100
    return found
