"""The shape of a loss; see ``repro/losses/kd.py`` for one in full."""

from typing import Protocol, runtime_checkable

from torch import Tensor

from repro.outputs import Batch, Outputs


@runtime_checkable
class Loss(Protocol):
    """A frozen dataclass of hyper-parameters that maps a batch to weighted scalar terms.

    The objective is the sum of the terms; each is logged under its name. A loss whose ``__call__``
    ignores the teacher sets the class attribute ``uses_teacher = False``; one that reads more of it
    than its logits sets ``uses_features = True``. Optional methods:

    - ``at_epoch(epoch) -> Loss``: the loss of that epoch (counted from 0), for warm-ups;
    - ``diagnostics(student, teacher, batch) -> dict[str, Tensor]``: detached numbers to log beside
      the terms: 0-d means, or 1-d histogram counts.
    """

    @property
    def ce_weight(self) -> float: ...

    def __call__(self, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]: ...
