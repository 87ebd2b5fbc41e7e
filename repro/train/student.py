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
        self.rate = next(model.parameters()).new_tensor(run.optim.lr)
        self.optimizer = torch.optim.SGD(
            model.parameters(),
            lr=self.rate,
            momentum=run.optim.momentum,
            weight_decay=run.optim.weight_decay,
            fused=True,  # two kernels an update, and the rate is read when they run
        )
        for parameter in model.parameters():  # zeros: the first step is like every other
            momentum = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            self.optimizer.state[parameter]["momentum_buffer"] = momentum
        self.loss: Loss = run.loss
        self.sums: dict[str, Tensor] = {}
        self.test_logits: Tensor | None = None

    def begin_epoch(self, epoch: int) -> None:
        """Set the epoch's learning rate and loss (warm-ups)."""
        self.rate.fill_(learning_rate(self.run.optim, epoch))
        at_epoch = getattr(self.run.loss, "at_epoch", None)
        self.loss = at_epoch(epoch) if at_epoch else self.run.loss
        for total in self.sums.values():
            total.zero_()
        self.model.train()

    def learn(self, batch: Batch, teacher: Outputs) -> None:
        """One step of gradient descent on the sum of the loss's terms.

        It can be recorded and replayed: nothing waits for the device, and what lasts longer than
        the step is changed in place.
        """
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
            weight = 1 if value.dim() else size
            if name not in self.sums:
                self.sums[name] = torch.zeros_like(value)
            self.sums[name].add_(value, alpha=weight)

    def end_epoch(
        self, epoch: int, num_images: int, evaluation: Evaluation, tick: Callable[[], None]
    ) -> dict[str, float | list[float]]:
        """The means over the epoch's ``num_images`` and the test scores: its one host sync.

        Before the last evaluation the parameters are rounded to half precision, the form in which
        they are stored: the reported accuracy is that of the stored network.
        """
        if epoch == self.run.stream.epochs - 1:
            round_to_half(self.model)
        values = {n: s.clone() if s.dim() else s / num_images for n, s in self.sums.items()}
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

    def tensors(self) -> list[Tensor]:
        """All that a step changes."""
        momenta = [self.optimizer.state[p]["momentum_buffer"] for p in self.model.parameters()]
        return [
            *self.model.parameters(),
            *self.model.buffers(),
            *momenta,
            *self.sums.values(),
        ]

    def state(self) -> dict[str, Tensor]:
        """Everything that the next epoch depends on: weights, buffers, momentum."""
        state = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for name, parameter in self.model.named_parameters():
            state[f"momentum.{name}"] = self.optimizer.state[parameter]["momentum_buffer"]
        return state

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of ``state``. Raises RuntimeError where names or shapes do not fit."""
        self.model.load_state_dict(_below("model.", state))
        momentum = _below("momentum.", state)
        parameters = dict(self.model.named_parameters())
        if momentum.keys() != parameters.keys():
            raise RuntimeError("momentum and parameters differ in their names")
        for name, parameter in parameters.items():
            self.optimizer.state[parameter]["momentum_buffer"].copy_(momentum[name])


def _below(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Round every parameter to the nearest float16 value; buffers (statistics) stay."""
    for parameter in model.parameters():
        parameter.copy_(parameter.half().float())
