"""One network in training: weights, optimiser, loss and the sums of its epoch."""

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor, nn

from repro.losses import Loss
from repro.losses.protocol import at_epoch, diagnostics, terms_of
from repro.outputs import Batch, Outputs
from repro.spec import Run, key
from repro.train.adapters import deployed
from repro.train.evaluate import autocast, predict, scores
from repro.train.schedule import learning_rate

Evaluation = Callable[[], Iterable[tuple[Tensor, Tensor]]]


class Student:
    """Trains ``model`` as ``run`` says. Metrics stay on the device until ``end_epoch``.

    ``adapter``: what the loss trains beside it; ``network``: what answers, the model or, where the
    adapter replaces its classifier, both.
    """

    def __init__(self, run: Run, model: nn.Module, adapter: nn.Module | None = None) -> None:
        self.run, self.key, self.model, self.adapter = run, key(run), model, adapter
        self.network = deployed(model, adapter)
        self.parameters = dict(model.named_parameters())
        if adapter is not None:
            self.parameters |= {f"adapter.{n}": p for n, p in adapter.named_parameters()}
        self.rate = next(model.parameters()).new_tensor(run.optim.lr)
        self.optimizer = torch.optim.SGD(
            self.parameters.values(),
            lr=self.rate,
            momentum=run.optim.momentum,
            weight_decay=run.optim.weight_decay,
            fused=True,  # two kernels an update, and the rate is read when they run
        )
        for parameter in self.parameters.values():  # zeros: the first step is like every other
            momentum = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            self.optimizer.state[parameter]["momentum_buffer"] = momentum
        self.loss: Loss = run.loss
        self.sums: dict[str, Tensor] = {}
        self.test_logits: Tensor | None = None
        self.dropped = False  # another process trains it now

    def begin_epoch(self, epoch: int) -> None:
        """Set the epoch's learning rate and loss (warm-ups)."""
        self.rate.fill_(learning_rate(self.run.optim, epoch))
        self.loss = at_epoch(self.run.loss, epoch)
        for total in self.sums.values():
            total.zero_()
        for module in self.modules:
            module.train()

    @property
    def modules(self) -> list[nn.Module]:
        return [self.model] if self.adapter is None else [self.model, self.adapter]

    def learn(self, batch: Batch, teacher: Outputs) -> None:
        """One step of gradient descent on the sum of the loss's terms.

        It can be recorded and replayed: nothing waits for the device, and what lasts longer than
        the step is changed in place.
        """
        with autocast(batch.images.device, self.run.precision):
            outputs: Outputs = self.network(batch.images)
            if batch.second is not None:
                outputs = replace(outputs, second=self.network(batch.second))
        terms = terms_of(self.loss, outputs, teacher, batch, self.adapter)
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
        values |= diagnostics(self.loss, outputs, teacher, batch)
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
            round_to_half(self.network)
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
        self.test_logits, labels = predict(self.network, evaluation(), self.run.precision, tick)
        return scores(self.test_logits, labels)

    def tensors(self) -> list[Tensor]:
        """All that a step changes."""
        buffers = [buffer for module in self.modules for buffer in module.buffers()]
        momenta = list(self._momenta().values())
        return [*self.parameters.values(), *buffers, *momenta, *self.sums.values()]

    def state(self) -> dict[str, Tensor]:
        """Everything that the next epoch depends on: weights, buffers, momentum."""
        state = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        if self.adapter is not None:
            state |= {f"adapter.{n}": tensor for n, tensor in self.adapter.state_dict().items()}
        return state | {f"momentum.{name}": tensor for name, tensor in self._momenta().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of ``state``. Raises RuntimeError where names or shapes do not fit."""
        for module, prefix in zip(self.modules, ("model.", "adapter."), strict=False):
            module.load_state_dict(_below(prefix, state))
        mine, saved = self._momenta(), _below("momentum.", state)
        if mine.keys() != saved.keys():
            raise RuntimeError("momentum and parameters differ in their names")
        for name, momentum in mine.items():
            momentum.copy_(saved[name])

    def _momenta(self) -> dict[str, Tensor]:
        states = self.optimizer.state
        return {name: states[p]["momentum_buffer"] for name, p in self.parameters.items()}


def _below(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Round every parameter to the nearest float16 value; buffers (statistics) stay."""
    for parameter in model.parameters():
        parameter.copy_(parameter.half().float())
