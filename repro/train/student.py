"""One network in training: weights, optimiser, loss and the sums of its epoch."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from repro.losses import Loss
from repro.losses.protocol import at_epoch, diagnostics, terms_of
from repro.outputs import Batch, Outputs
from repro.spec import Run, key
from repro.train.adapters import deployed
from repro.train.evaluate import autocast, predict_all, scores
from repro.train.ranks import ALONE, Ranks, Share
from repro.train.schedule import learning_rate

Evaluation = Callable[[], Iterable[tuple[Tensor, Tensor]]]


class Student:
    """Trains ``model`` as ``run`` says. Metrics stay on the device until ``means``.

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
        self.ranks = ALONE
        self.lesson: nn.Module | None = None  # of several ranks; it and its student know each other

    def begin_epoch(self, epoch: int, *, afresh: bool = True) -> None:
        """Set the epoch's learning rate and loss (warm-ups). Not ``afresh``: go on within it."""
        self.rate.fill_(learning_rate(self.run.optim, epoch))
        self.loss = at_epoch(self.run.loss, epoch)
        for total in self.sums.values() if afresh else ():
            total.zero_()
        for module in self.modules:
            module.train()

    @property
    def modules(self) -> list[nn.Module]:
        return [self.model] if self.adapter is None else [self.model, self.adapter]

    def distribute(self, ranks: Ranks) -> None:
        """Train with other processes from here on, from what rank 0 holds: gradients are averaged.

        Not for a loss that ``keeps_memory``: each process would have its own.
        """
        if ranks.size == 1:
            return
        self.ranks = ranks
        # an adapter may leave parameters without a gradient, such as a classifier it replaces
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # newer names of broadcast_buffers
            self.lesson = DistributedDataParallel(
                Lesson(self),
                broadcast_buffers=False,
                find_unused_parameters=self.adapter is not None,
            )
        ranks.like_rank_0(self._momenta())
        # where rank 0 goes on within an epoch it has the sums of all so far
        shapes = ranks.said({name: total.shape for name, total in self.sums.items()})
        if ranks.rank:
            self.sums = {name: self.rate.new_zeros(shape) for name, shape in shapes.items()}

    def learn(self, batch: Batch, teacher: Outputs, share: Share | None = None) -> None:
        """One step of gradient descent on the sum of the loss's terms.

        ``share``: what the batch is of that which all ranks see. A step can be recorded and
        replayed: nothing waits for the device, and what lasts longer than it is changed in place.
        """
        total: Tensor = (self.lesson or self.answer)(batch, teacher)
        if share and share.scale != 1:
            total = total * share.scale
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.optimizer.step()
        outputs, terms = self.found
        del self.found
        self._add(outputs, teacher, batch, terms, share)

    def answer(self, batch: Batch, teacher: Outputs) -> Tensor:
        """The sum of the loss's terms; ``found``: the outputs and the terms that it is of."""
        with autocast(batch.images.device, self.run.precision):
            outputs: Outputs = self.network(batch.images)
            if batch.second is not None:
                outputs = replace(outputs, second=self.network(batch.second))
        terms = terms_of(self.loss, outputs, teacher, batch, self.adapter)
        total = torch.stack(tuple(terms.values())).sum()
        self.found = outputs, terms | {"loss": total}
        return total

    @torch.no_grad()
    def _add(
        self,
        outputs: Outputs,
        teacher: Outputs,
        batch: Batch,
        terms: dict[str, Tensor],
        share: Share | None = None,
    ) -> None:
        size = len(batch.labels)
        images = share.images if share else size  # that the batch counts for
        hits = (outputs.logits.argmax(dim=1) == batch.labels).float().mean() * 100
        values = {f"train/{name}": term.detach() for name, term in terms.items()}
        values["train/top1"] = hits
        values |= diagnostics(self.loss, outputs, teacher, batch)
        for name, value in values.items():  # histograms count images, means weigh by the batch
            weight = images / size if value.dim() else images
            if name not in self.sums:
                self.sums[name] = torch.zeros_like(value)
            self.sums[name].add_(value, alpha=weight)

    def means(
        self, epoch: int, num_images: int, found: dict[str, Tensor]
    ) -> dict[str, float | list[float]]:
        """Over the epoch's ``num_images``, and the test scores ``found``: its one host sync."""
        sums = self._sums_of_all()
        values = {n: s if s.dim() else s / num_images for n, s in sums.items()} | found
        flat = torch.cat([value.float().reshape(-1) for value in values.values()]).tolist()
        metrics: dict[str, float | list[float]] = {}
        for name, value in values.items():
            taken, flat = flat[: value.numel()], flat[value.numel() :]
            metrics[name] = taken if value.dim() else taken[0]
        return metrics | {"lr": learning_rate(self.run.optim, epoch)}

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

    def state_within(self) -> dict[str, Tensor]:
        """As ``state``, with the sums of the epoch so far, over all ranks."""
        return self.state() | {f"sum.{n}": total for n, total in self._sums_of_all().items()}

    def _sums_of_all(self) -> dict[str, Tensor]:
        """Copies of the epoch's sums so far, over all ranks."""
        sums = {name: total.clone() for name, total in self.sums.items()}
        self.ranks.summed(sums)
        return sums

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Inverse of ``state``. Raises RuntimeError where names or shapes do not fit."""
        for module, prefix in zip(self.modules, ("model.", "adapter."), strict=False):
            module.load_state_dict(_below(prefix, state))
        mine, saved = self._momenta(), _below("momentum.", state)
        if mine.keys() != saved.keys():
            raise RuntimeError("momentum and parameters differ in their names")
        for name, momentum in mine.items():
            momentum.copy_(saved[name])
        self.sums = {n: t.to(self.rate.device) for n, t in _below("sum.", state).items()}

    def _momenta(self) -> dict[str, Tensor]:
        states = self.optimizer.state
        return {name: states[p]["momentum_buffer"] for name, p in self.parameters.items()}


def end_epoch(
    students: Sequence[Student],
    epoch: int,
    num_images: int,
    evaluation: Evaluation,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, float | list[float]]]:
    """By the students' keys the means over the epoch's ``num_images`` and the test scores.

    Before the last evaluation the parameters are rounded to half precision, the form in which they
    are stored: the reported accuracy is that of the stored network.
    """
    for student in students:
        if epoch == student.run.stream.epochs - 1:
            round_to_half(student.network)
    found = evaluate(students, evaluation, tick)
    return {s.key: s.means(epoch, num_images, found[s.key]) for s in students}


def evaluate(
    students: Sequence[Student], evaluation: Evaluation, tick: Callable[[], None] = lambda: None
) -> dict[str, dict[str, Tensor]]:
    """By their keys the test scores as 0-d tensors; the logits stay in ``test_logits`` [N, K].

    Each of several ranks evaluates its share with the statistics of rank 0, which are kept. Shares
    may differ in batches, so they ask ``tick`` before all of them, not before each.
    """
    run, ranks = students[0].run, students[0].ranks
    if ranks.size > 1:
        ranks.agreed(tick)
        tick = nothing
        for student in students:
            ranks.like_rank_0(dict(student.network.named_buffers()))
    logits, labels = predict_all([s.network for s in students], evaluation(), run.precision, tick)
    labels, found = ranks.gathered(labels), {}
    for student, answer in zip(students, logits, strict=True):
        student.test_logits = ranks.gathered(answer)
        top5 = run.stream.dataset == "imagenet"
        found[student.key] = scores(student.test_logits, labels, top5=top5)
    return found


class Lesson(nn.Module):
    """A student's answer to a batch as a module: what DistributedDataParallel takes."""

    def __init__(self, student: Student) -> None:
        super().__init__()
        self.network, self.adapter, self.answer = student.network, student.adapter, student.answer

    def forward(self, batch: Batch, teacher: Outputs) -> Tensor:
        return self.answer(batch, teacher)


def nothing() -> None: ...


def _below(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Round every parameter to the nearest float16 value; buffers (statistics) stay."""
    for parameter in model.parameters():
        parameter.copy_(parameter.half().float())
