"""The teacher bank: a teacher's logits for every view of every training image, as a table.

The augmentation is finite (162 views for CIFAR) and a teacher in eval mode answers an image always
alike, so its logits are looked up instead of computed: each view once, not each epoch anew.
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from repro.data.augment import num_views, view
from repro.data.batches import TrainingImages, Views, parts, take
from repro.errors import UserError
from repro.files import cannot_write, make_directory
from repro.outputs import Batch, Outputs
from repro.spec import Augment, Precision
from repro.train import checkpoint
from repro.train.step import Teacher

FORMAT = 1  # of the key and the files: another one where images of a view or their logits change
BATCH_SIZE = {"cpu": 250, "cuda": 2000}  # images of a view that the teacher sees at once
# Left free, for what else runs and grows: the table is the guest.
DISK_MARGIN_BYTES = 2 << 30
MEMORY_MARGIN_BYTES = {"cpu": 2 << 30, "cuda": 4 << 30}
GB = 1e9
GOLDEN_RATIO = (5**0.5 - 1) / 2  # its multiples are spread evenly over the circle


class NoBank(UserError):
    """There can be no bank here; the message says why, and the way out."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; --teacher live does without a bank")
        self.reason = reason

    def __reduce__(self) -> tuple[type["NoBank"], tuple[str]]:
        return NoBank, (self.reason,)  # it travels between processes


class BankTeacher:
    """The table's logits. ``table`` [views, N, K] float16, on the device of the batches."""

    def __init__(self, table: Tensor) -> None:
        self.table = table

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Outputs:
        return Outputs(self.table[batch.views, batch.indices].float())


@dataclass(frozen=True, kw_only=True)
class Bank:
    """What a table holds, and where: ``root``/<key>/view_<number>, a checkpoint file each.

    ``teacher``: its run's key; ``weights``: the SHA-256 of its weights, as a run that was trained
    again has the same key; ``images``: the fingerprint of the ``num_images`` training images.
    """

    root: Path
    teacher: str
    weights: str
    images: str
    num_images: int
    num_classes: int
    augment: Augment
    precision: Precision

    @property
    def key(self) -> str:
        """SHA-256 of all that the logits depend on: 64 hex digits."""
        parts = (FORMAT, self.teacher, self.weights, self.images, self.augment, self.precision)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    @property
    def shape(self) -> tuple[int, int, int]:
        return num_views(self.augment), self.num_images, self.num_classes

    @property
    def bytes_a_view(self) -> int:
        return 2 * self.num_images * self.num_classes

    def path(self, number: int) -> Path:
        return self.root / self.key / f"view_{number}"

    def missing(self) -> int:
        """How many views have no file."""
        return sum(not self.path(number).exists() for number in range(self.shape[0]))

    def load(self, number: int) -> Tensor:
        """A view's logits [N, K] float16. Raises DamagedCheckpoint, also for a foreign file."""
        path = self.path(number)
        tensors, meta = checkpoint.load(path)
        logits = tensors.get("logits")
        if meta != self._meta(number) or logits is None or logits.shape != self.shape[1:]:
            raise checkpoint.DamagedCheckpoint(f"{path} is not the view that its name says")
        return logits

    def save(self, number: int, logits: Tensor) -> None:
        """Whole or not at all, also where another process saves the same view."""
        path = self.path(number)
        mine = make_directory(path.parent) / f"{path.name}.{secrets.token_hex(8)}"
        checkpoint.save(mine, {"logits": logits}, self._meta(number))
        try:
            mine.replace(path)
        except OSError as error:
            raise cannot_write(path, error) from error

    def _meta(self, number: int) -> dict[str, object]:
        return {"bank": self.key, "view": number}


def check_room(bank: Bank, device: torch.device) -> None:
    """Raises NoBank where disk or memory cannot hold the bank and keep their margin."""
    disk = bank.missing() * bank.bytes_a_view
    memory = bank.shape[0] * bank.bytes_a_view
    make_directory(bank.root)
    for need, free, margin, place in (
        (disk, free_disk_bytes(bank.root), DISK_MARGIN_BYTES, str(bank.root)),
        (memory, free_memory_bytes(device), MEMORY_MARGIN_BYTES[device.type], f"{device} memory"),
    ):
        if need and need + margin > free:
            raise NoBank(
                f"the teacher bank needs {need / GB:.2f} GB of {place} and leaves "
                f"{margin / GB:.1f} GB free, but {free / GB:.2f} GB are free"
            )


def free_disk_bytes(directory: Path) -> int:
    return shutil.disk_usage(directory).free


def free_memory_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    import psutil  # not where only a GPU is used

    return int(psutil.virtual_memory().available)


def empty_table(bank: Bank, device: torch.device) -> Tensor:
    return torch.empty(bank.shape, dtype=torch.float16, device=device)


def fill(
    table: Tensor,
    bank: Bank,
    images: TrainingImages,
    *,
    make_teacher: Callable[[], Teacher],
    tick: Callable[[], None] = lambda: None,
    line: Callable[[str], None] = lambda _text: None,
) -> Iterator[bool]:
    """Fill ``table`` view by view, from disk or else by the teacher, and say which (True: made).

    A view that is made is on disk before it is yielded. ``tick`` runs before each batch and may
    raise; damaged files are told through ``line`` and made again. Raises NoBank for logits that
    float16 cannot hold.
    """
    teacher: Teacher | None = None
    for number in order(len(table), os.getpid()):
        tick()
        made = not _load(table[number], bank, number, line)
        if made:
            teacher = teacher or make_teacher()
            make_view(table[number], teacher, images, (number, bank.augment), tick)
            bank.save(number, table[number])
        yield made


def order(count: int, process: int) -> Iterator[int]:
    """0..count - 1, begun far from where the processes before and after ``process`` begin: those
    that fill the same bank share the work without a word."""
    first = int(count * (process * GOLDEN_RATIO % 1))
    return ((first + i) % count for i in range(count))


def _load(row: Tensor, bank: Bank, number: int, line: Callable[[str], None]) -> bool:
    if not bank.path(number).exists():
        return False
    try:
        row.copy_(bank.load(number))
    except checkpoint.DamagedCheckpoint as error:
        line(f"{error}; it is made again")
        return False
    return True


def make_view(
    row: Tensor,
    teacher: Teacher,
    images: TrainingImages,
    which: tuple[int, Augment],
    tick: Callable[[], None],
) -> None:
    """Fill ``row`` [N, K] float16 with the logits of all images in one view."""
    for part in parts(len(row), BATCH_SIZE[row.device.type]):
        tick()
        indices = torch.arange(part.start, part.stop, device=row.device)
        row[part] = teacher(take(images, one_view(indices, *which))).logits
    if not row.isfinite().all():
        limit = torch.finfo(torch.float16).max
        raise NoBank(f"the teacher has logits beyond {limit:.0f}, which its bank cannot hold")


def one_view(indices: Tensor, number: int, augment: Augment) -> Views:
    """Every image of ``indices`` [B] in the view ``number``, on their device."""
    row, column, flip = view(number, augment)
    return Views(
        order=indices,
        offsets=torch.stack([torch.full_like(indices, place) for place in (row, column)], dim=1),
        flips=torch.full_like(indices, flip, dtype=torch.bool),
        numbers=torch.full_like(indices, number),
    )
