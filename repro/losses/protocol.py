"""The shape of a loss; see ``repro/losses/kd.py`` for one in full, ``fitnet.py`` for an adapter."""

from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from repro.outputs import Batch, Outputs

CROSS_ENTROPY = ("ce", "ce_second")  # names of its terms: of the first view and of the second


@runtime_checkable
class Loss(Protocol):
    """A frozen dataclass of hyper-parameters that maps a batch to weighted scalar terms:

        __call__(student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]

    The objective is the sum of the terms; each is logged under its name. Logits are float32, maps
    may be bfloat16: ``maps.full_precision`` makes them float32 and leaves float64 alone.

    Class attributes say what it needs: ``uses_teacher = False`` where it ignores the teacher,
    ``uses_features = True`` where it reads more of the teacher than its logits,
    ``second_view = True`` where it reads ``batch.second``, ``keeps_memory = True`` where its
    adapter remembers every training image: processes that share them cannot train it. Optional
    methods:

    - ``at_epoch(epoch) -> Loss``: the loss of that epoch (counted from 0), for warm-ups;
    - ``diagnostics(student, teacher, batch) -> dict[str, Tensor]``: detached numbers to log beside
      the terms: 0-d means, or 1-d histogram counts;
    - ``make_adapter(student, teacher, labels) -> nn.Module | None``: what is trained with the
      student and thrown away after it, and given to ``__call__`` as a fourth argument (None
      included). ``student``, ``teacher``: their outputs for one probe batch (the student's on
      device meta: shapes only); ``labels`` [N]: those of the training set. Its first weights come
      from torch's default generator, which the caller has seeded. Whatever a step changes in it is
      a parameter or a buffer changed in place: so it is checkpointed, and can be recorded.

    Where ``deploys = True`` the adapter has a method ``deploy(outputs: Outputs) -> Outputs`` and
    replaces the student's classifier: the student's outputs always come out of it, in training and
    ever after, and it is stored with the network.
    """

    @property
    def ce_weight(self) -> float: ...

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]: ...


def terms_of(
    loss: Loss, student: Outputs, teacher: Outputs, batch: Batch, adapter: nn.Module | None
) -> dict[str, Tensor]:
    """The terms of a loss, with its adapter where it takes one."""
    if hasattr(loss, "make_adapter"):
        return loss(student, teacher, batch, adapter)
    return loss(student, teacher, batch)


def adapter_of(loss: Loss, student: Outputs, teacher: Outputs, labels: Tensor) -> nn.Module | None:
    """What ``make_adapter`` returns; None where the loss has no such method."""
    make_adapter = getattr(loss, "make_adapter", None)
    return make_adapter(student, teacher, labels) if make_adapter else None


def uses_teacher(loss: Loss) -> bool:
    return getattr(loss, "uses_teacher", True)


def uses_features(loss: Loss) -> bool:
    """Does it need more of its teacher than the logits?"""
    return getattr(loss, "uses_features", False)


def second_view(loss: Loss) -> bool:
    """Does it need the images in a second augmentation?"""
    return getattr(loss, "second_view", False)


def keeps_memory(loss: Loss) -> bool:
    """Does its adapter remember every training image?"""
    return getattr(loss, "keeps_memory", False)


def deploys(loss: Loss) -> bool:
    """Does its adapter replace the student's classifier?"""
    return getattr(loss, "deploys", False)


def at_epoch(loss: Loss, epoch: int) -> Loss:
    """The loss of an epoch, counted from 0."""
    change = getattr(loss, "at_epoch", None)
    return change(epoch) if change else loss


def diagnostics(loss: Loss, student: Outputs, teacher: Outputs, batch: Batch) -> dict[str, Tensor]:
    """What the loss logs beside its terms; nothing where it has no such method."""
    numbers = getattr(loss, "diagnostics", None)
    return numbers(student, teacher, batch) if numbers else {}
