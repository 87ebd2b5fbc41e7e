"""Several losses at once: the plug-in "x+cmkd"."""

import copy
from dataclasses import dataclass, replace

from torch import Tensor, nn

from repro.errors import UserError
from repro.losses.protocol import (
    CROSS_ENTROPY,
    Loss,
    adapter_of,
    at_epoch,
    deploys,
    diagnostics,
    keeps_memory,
    second_view,
    terms_of,
    uses_features,
    uses_teacher,
)
from repro.outputs import Batch, Outputs


@dataclass(frozen=True, kw_only=True)
class Sum:
    """The terms of all ``losses``, except that cross-entropy counts once: as the first weighs it.

    Terms of one name are added up. The adapters are a ``ModuleList`` with an entry a loss (the
    identity where it has none); a loss has the same first weights alone as in front of a sum.
    """

    losses: tuple[Loss, ...]

    def __post_init__(self) -> None:
        if len(self.losses) < 2:
            raise UserError(f"Sum.losses must be two losses or more, not {self.losses!r}")

    @property
    def ce_weight(self) -> float:
        return self.losses[0].ce_weight

    @property
    def uses_teacher(self) -> bool:
        return any(uses_teacher(loss) for loss in self.losses)

    @property
    def uses_features(self) -> bool:
        return any(uses_features(loss) for loss in self.losses)

    @property
    def deploys(self) -> bool:
        return any(deploys(loss) for loss in self.losses)

    @property
    def keeps_memory(self) -> bool:
        return any(keeps_memory(loss) for loss in self.losses)

    @property
    def second_view(self) -> bool:
        return any(second_view(loss) for loss in self.losses)

    def __call__(
        self, student: Outputs, teacher: Outputs, batch: Batch, adapter: nn.Module | None
    ) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        for i, loss in enumerate(self.losses):
            mine = adapter[i] if isinstance(adapter, nn.ModuleList) else None
            mine = None if isinstance(mine, nn.Identity) else mine
            for name, term in terms_of(loss, student, teacher, batch, mine).items():
                if name not in terms:
                    terms[name] = term
                elif name not in CROSS_ENTROPY:
                    terms[name] = terms[name] + term
        return terms

    def at_epoch(self, epoch: int) -> "Sum":
        return replace(self, losses=tuple(at_epoch(loss, epoch) for loss in self.losses))

    def diagnostics(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
        numbers: dict[str, Tensor] = {}
        for loss in self.losses:
            numbers |= diagnostics(loss, student, teacher, batch)
        return numbers

    def make_adapter(self, student: Outputs, teacher: Outputs, labels: Tensor) -> nn.Module | None:
        """Adapters that deploy are made first: the others read what those make of the student."""
        made: dict[int, nn.Module | None] = {}
        for i in sorted(range(len(self.losses)), key=lambda i: not deploys(self.losses[i])):
            adapter = made[i] = adapter_of(self.losses[i], student, teacher, labels)
            if adapter is not None and deploys(self.losses[i]):
                student = _deployed(adapter, student)
        if not any(made.values()):
            return None
        return nn.ModuleList(made[i] or nn.Identity() for i in range(len(self.losses)))


def _deployed(adapter: nn.Module, student: Outputs) -> Outputs:
    """The shapes of what the adapter makes of the student's."""
    return copy.deepcopy(adapter).to("meta").deploy(student)  # type: ignore[operator]
