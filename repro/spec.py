"""What one training run is: values only, with a key that identifies it for ever."""

import dataclasses
import hashlib
import json
import math
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from repro.errors import UserError
from repro.losses import TYPES as LOSS_TYPES
from repro.losses import Loss
from repro.losses.protocol import uses_features as uses_features
from repro.losses.protocol import uses_teacher as uses_teacher

SCHEMA = 1  # the meaning of the fields below; a field added later carries metadata={"since": n}

Dataset = Literal["cifar100", "digits", "imagenet"]
Split = Literal["full", "tune"]
Augment = Literal["crop-flip", "crop", "none", "resized-crop-flip"]
Precision = Literal["fp32", "bf16"]
SecondView = Literal["none", "strong"]
NUM_CLASSES: dict[str, int] = {"cifar100": 100, "digits": 10, "imagenet": 1000}


def check_whole(name: str, number: object, *, least: int) -> None:
    """Also refuses 240.0: it equals 240, but their JSON, so their keys, would differ."""
    if type(number) is not int or number < least:
        raise UserError(f"{name} must be a whole number of {least} or more, not {number!r}")


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The batches that a run sees: data, order, augmentation. Students that share one are paired.

    ``split``: "full" trains on all of train and evaluates on test; "tune" cuts a held-out tenth
    from train (by class) and evaluates on that, so that the test set chooses nothing.
    ``train_per_class``, ``test_per_class``: stratified subsets, 0 for all images.
    ``second_view``: "strong" shows every image twice, the second time in RandAugment and cutout.
    ``side``: pixels of an image as the network sees it, 0 for the dataset's own. ``images``: the
    fingerprint of a folder of images in the place of ImageNet's own; ``classes``: how many it has.
    """

    dataset: Dataset = "cifar100"
    split: Split = "full"
    train_per_class: int = 0
    test_per_class: int = 0
    augment: Augment = "crop-flip"
    batch_size: int = 64
    epochs: int = 240
    second_view: SecondView = field(default="none", metadata={"since": 1})
    side: int = field(default=0, metadata={"since": 3})
    classes: int = field(default=0, metadata={"since": 3})
    images: str = field(default="", metadata={"since": 3})

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs"):
            check_whole(name, getattr(self, name), least=1)
        for name in ("train_per_class", "test_per_class", "side", "classes"):
            check_whole(name, getattr(self, name), least=0)

    @property
    def num_classes(self) -> int:
        return self.classes or NUM_CLASSES[self.dataset]


def tail_epochs(epochs: int) -> int:
    """How many epochs "the last 10" are: under 50 in all the last fifth, so that a short training
    is not judged by its start."""
    return min(10, max(1, epochs // 5))


@dataclass(frozen=True, kw_only=True)
class Optim:
    """SGD with momentum; at each milestone (epochs) the rate is multiplied by ``decay``."""

    lr: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 5e-4
    milestones: tuple[int, ...] = (150, 180, 210)
    decay: float = 0.1

    def __post_init__(self) -> None:
        for name in ("lr", "momentum", "weight_decay", "decay"):
            number = getattr(self, name)
            if not (math.isfinite(number) and number >= 0):
                raise UserError(f"{name} must be a number of 0 or more, not {number}")
            object.__setattr__(self, name, float(number))  # 1 == 1.0, but their JSON differs
        for milestone in self.milestones:
            check_whole("a milestone", milestone, least=0)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One network to train. A teacher is a run whose own ``teacher`` is None.

    ``method``: the row of a table that the run belongs to ("kd", "cmkd/reversed", "teacher");
    a name, not part of what the run is.
    ``weights``: of an imported teacher, which was trained elsewhere, the hash of its weights. It is
    the key; the other fields tell nothing of its training.
    """

    network: str
    loss: Loss
    stream: Stream
    optim: Optim
    trial: int = 0
    teacher: "Run | None" = None
    precision: Precision = "fp32"
    method: str = ""
    weights: str = field(default="", metadata={"since": 2})

    def __post_init__(self) -> None:
        check_whole("trial", self.trial, least=0)
        if self.weights and not re.fullmatch("[0-9a-f]{64}", self.weights):
            raise UserError(f"weights must be 64 hex digits, not {self.weights!r}")

    @property
    def pair(self) -> str:
        """``teacher:student``, or the network alone for a teacher."""
        return f"{self.teacher.network}:{self.network}" if self.teacher else self.network


TYPES: dict[str, type] = {t.__name__: t for t in (Stream, Optim, Run, *LOSS_TYPES)}


def encode(value: Any) -> Any:
    """A dataclass as JSON-ready data; fields added later are left out at their neutral value."""
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    fields = [
        f
        for f in dataclasses.fields(value)
        if not ("since" in f.metadata and getattr(value, f.name) == f.default)
    ]
    return {"type": type(value).__name__} | {f.name: encode(getattr(value, f.name)) for f in fields}


def decode(data: Any) -> Any:
    """The inverse of ``encode``. Raises UserError for unknown types or fields."""
    if isinstance(data, list):
        return tuple(decode(item) for item in data)
    if not isinstance(data, dict):
        return data
    cls = TYPES.get(data.get("type", ""))
    if cls is None:
        raise UserError(f"unknown type {data.get('type')!r} in a recorded run")
    given = {name: decode(item) for name, item in data.items() if name != "type"}
    unknown = given.keys() - {field.name for field in dataclasses.fields(cls)}
    if unknown:
        raise UserError(f"{cls.__name__} has no field {', '.join(sorted(unknown))}: newer suite?")
    return cls(**given)


def canonical(run: Run) -> str:
    """The run as canonical JSON. A loss that ignores its teacher leaves the teacher out.

    So one cross-entropy baseline serves every pair with that student, and a teacher trained alone.
    """
    teacher = key(run.teacher) if run.teacher and uses_teacher(run.loss) else None
    data = encode(dataclasses.replace(run, teacher=None)) | {"teacher": teacher, "schema": SCHEMA}
    del data["method"]
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


@cache
def key(run: Run) -> str:
    """SHA-256 of the canonical JSON, of an imported teacher its weights': 64 hex digits."""
    return run.weights or hashlib.sha256(canonical(run).encode()).hexdigest()


def seed(*parts: object) -> int:
    """A 63-bit seed from the parts' text; the same everywhere."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
