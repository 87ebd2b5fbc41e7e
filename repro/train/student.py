"""One network in training: weights, optimiser, loss and the sums of its epoch."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from repro.losses import Loss
from repro.outputs import Batch, Outputs
from repro.spec import Run, key
from repro.train.evaluate import autocast, predict, scores
from repro.train.schedule import learning_rate

Evaluation = Callable[[], Iterable[tuple[Tensor, Tensor]]]


class Student:
    """Trains ``model`` as ``run`` says. Metrics stay on the device until ``end_epoch``."""

    def __init__(self, run: Run, model: nn.Module) -> None:
        self.run, self.key, self.model = run, key(run), model
        self.optimizer = torch.optim.SGD(
            model.parameters(),
            lr=run.optim.lr,
            momentum=run.optim.momentum,
            weight_decay=run.optim.weight_decay,
        )
        self.loss: Loss = run.loss
        self.sums: dict[str, Tensor] = {}
        self.images = 0
        self.test_logits: Tensor | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Set the epoch's learning rate and loss (warm-ups)."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.run.optim, epoch)
        at_epoch = getattr(self.run.loss, "at_epoch", None)
        self.loss = at_epoch(epoch) if at_epoch else self.run.loss
        self.sums, self.images = {}, 0
        self.model.train()

    def learn(self, batch: Batch, teacher: Outputs) -> None:
        """One step of gradient descent on the sum of the loss's terms."""
        with autocast(batch.images.device, self.run.precision):
            outputs: Outputs = self.model(batch.images)
        terms = self.loss(outputs, teacher, batch)
        total = torch.stack(tuple(terms.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        self._add(outputs, teacher, batch, terms | {"loss": total})

    @torch.no_grad()
    def _add(
        self, outputs: Outputs, teacher: Outputs, batch: Batch, terms: dict[str, Tensor]
    ) -> None:
        size = len(batch.labels)
        hits = (outputs.logits.argmax(dim=1) == batch.labels).float().mean() * 100
        values = {f"train/{name}": term.detach() for name, term in terms.items()}
        values["train/top1"] = hits
        diagnostics = getattr(self.loss, "diagnostics", None)
        if diagnostics:
            values |= diagnostics(outputs, teacher, batch)
        for name, value in values.items():  # histograms count images, means weigh by the batch
            weighted = value if value.dim() else value * size
            self.sums[name] = self.sums[name] + weighted if name in self.sums else weighted
        self.images += size

    def end_epoch(
        self, epoch: int, evaluation: Evaluation, tick: Callable[[], None]
    ) -> dict[str, float | list[float]]:
        """The epoch's means and the test scores: the one host sync of the epoch.

        Before the last evaluation the parameters are rounded to half precision, the form in which
        they are stored: the reported accuracy is that of the stored network.
        """
        if epoch == self.run.stream.epochs - 1:
            round_to_half(self.model)
        values = {n: s if s.dim() else s / self.images for n, s in self.sums.items()}
        values |= self.evaluate(evaluation, tick)
        flat = torch.cat([value.float().reshape(-1) for value in values.values()]).tolist()
        metrics: dict[str, float | list[float]] = {}
        for name, value in values.items():
            taken, flat = flat[: value.numel()], flat[value.numel() :]
            metrics[name] = taken if value.dim() else taken[0]
        return metrics | {"lr": learning_rate(self.run.optim, epoch)}

    def evaluate(self, evaluation: Evaluation, tick: Callable[[], None]) -> dict[str, Tensor]:
        """Test scores as 0-d tensors; the logits are kept in ``test_logits`` [N, K]."""
        self.test_logits, labels = predict(self.model, evaluation(), self.run.precision, tick)
        return scores(self.test_logits, labels)

    def state(self) -> dict[str, Tensor]:
        """Everything that the next epoch depends on: weights, buffers, momentum."""
        state = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            momentum = self.optimizer.state[parameter].get("momentum_buffer")
            if momentum is not None:
                state[f"momentum.{name}"] = momentum
        return state

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of ``state``. Raises RuntimeError where names or shapes do not fit."""
        self.model.load_state_dict(_below("model.", state))
        momentum = _below("momentum.", state)
        for name, parameter in self.model.named_parameters():
            if name in momentum:
                buffer = torch.empty_like(parameter).copy_(momentum[name])
                self.optimizer.state[parameter]["momentum_buffer"] = buffer


def _below(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Round every parameter to the nearest float16 value; buffers (statistics) stay."""
    for parameter in model.parameters():
        parameter.copy_(parameter.half().float())
