"""One step of a cohort, eager or recorded: the one place for capture and parallel streams."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from repro.data.batches import TrainingImages, Views, take
from repro.data.decoding import FolderTraining
from repro.errors import choose
from repro.losses import Loss
from repro.outputs import Batch, Outputs
from repro.train.graphs import CudaLane, Lane, Recording
from repro.train.ranks import ALONE, Ranks, Share
from repro.train.student import Student

Teacher = Callable[[Batch], Outputs]
Engine = Literal["auto", "eager", "graph"]
ENGINES: tuple[Engine, ...] = ("auto", "eager", "graph")


class CohortStep(Protocol):
    """``begin`` an epoch of these students on these views, a call for each part, ``end``.

    ``shares``: all that will be called, in order: images are decoded ahead. What the students hold
    may be read while the step is ``paused``.
    """

    def begin(
        self, students: Sequence[Student], views: Views, shares: Iterable[Share] = ()
    ) -> None: ...
    def __call__(self, share: Share | slice) -> None: ...
    def end(self) -> None: ...
    def paused(self) -> AbstractContextManager[None]: ...


def make_cohort_step(
    teacher: Teacher,
    images: TrainingImages | FolderTraining,
    engine: Engine = "auto",
    ranks: Ranks = ALONE,
) -> CohortStep:
    """Eager on a CPU, recorded as CUDA graphs on a GPU; the same operations either way.

    Eager, too, where images come from a folder or several processes train together.
    """
    if isinstance(images, FolderTraining):
        return FolderStep(teacher, images)
    device = images.device
    if ranks.size > 1:
        engine = "eager"
    if engine not in ENGINES or (engine == "graph" and device.type != "cuda"):
        raise choose("engine", engine, ENGINES if device.type == "cuda" else ("auto", "eager"))
    if device.type == "cuda" and engine != "eager":
        return RecordedStep(teacher, images, lambda: CudaLane(device))
    return EagerStep(teacher, images)


class EagerStep:
    """Every operation when its line is reached: the teacher once, then each student."""

    def __init__(self, teacher: Teacher, images: TrainingImages) -> None:
        self.teacher, self.images = teacher, images
        self.students: Sequence[Student] = ()

    def begin(
        self,
        students: Sequence[Student],
        views: Views,
        shares: Iterable[Share] = (),  # noqa: ARG002
    ) -> None:
        self.students, self.views = students, views.to(self.images.device)

    def __call__(self, share: Share | slice) -> None:
        share = as_share(share)
        self._learn(take(self.images, self.views[share.part]), share)

    def _learn(self, batch: Batch, share: Share) -> None:
        outputs = self.teacher(batch)
        for student in self.students:
            student.learn(batch, outputs, share)

    def end(self) -> None: ...

    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()


class FolderStep(EagerStep):
    """Eager, on images that other processes decode ahead."""

    def __init__(self, teacher: Teacher, images: FolderTraining) -> None:
        self.teacher, self.folder = teacher, images
        self.students: Sequence[Student] = ()

    def begin(
        self, students: Sequence[Student], views: Views, shares: Iterable[Share] = ()
    ) -> None:
        self.students = students
        self.batches = self.folder.batches(views, [share.part for share in shares])

    def __call__(self, share: Share | slice) -> None:
        self._learn(next(self.batches), as_share(share))


def as_share(share: Share | slice) -> Share:
    """A slice alone is all of its batch."""
    return share if isinstance(share, Share) else Share(share, share.stop - share.start)


class RecordedStep:
    """The step recorded once for each batch size and then replayed, as CUDA graphs are.

    The *feed* (batch and teacher) has a lane, and so has each student: lanes run side by side. Each
    batch is fed into one of ``RING`` places, so the feed is a step ahead of the students. What
    varies lies in tensors: the epoch's views, the position in them, learning rates, sums. A loss
    that changes with the epoch is recorded anew.
    """

    RING = 2

    def __init__(
        self, teacher: Teacher, images: TrainingImages, make_lane: Callable[[], Lane]
    ) -> None:
        self.teacher, self.images, self.make_lane = teacher, images, make_lane
        self.position = torch.zeros((), dtype=torch.int64, device=images.device)
        self.views: Views | None = None
        self.feeder = make_lane()
        self.feeds: dict[tuple[int, int], Recording] = {}  # by batch size and place
        self.lanes: dict[str, Lane] = {}  # by the student's key
        self.lessons: dict[tuple[str, Loss, int, int], Recording] = {}  # and loss, size, place
        self.used: list[list[Any]] = [[] for _ in range(self.RING)]  # marks: the place is free
        self.students: Sequence[Student] = ()
        self.count = 0

    def begin(
        self,
        students: Sequence[Student],
        views: Views,
        shares: Iterable[Share] = (),
    ) -> None:
        """Views and students may differ from the last epoch's; their tensors keep their places."""
        if self.views is None:
            self.views = views.to(self.position.device)
        for mine, new in zip(self.views.tensors, views.tensors, strict=True):
            mine.copy_(new)
        first = next(iter(shares), None)  # an epoch may be gone on with
        self.position.fill_(first.part.start if first else 0)
        self.students, self.count = students, 0
        for student in students:
            if student.key not in self.lanes:
                self.lanes[student.key] = self.make_lane()
        current = {(student.key, student.loss) for student in students}
        self.lessons = {k: v for k, v in self.lessons.items() if k[:2] in current}
        for lane in self._all_lanes():
            lane.follow()

    def __call__(self, share: Share | slice) -> None:
        size, place = as_share(share).size, self.count % self.RING
        self.count += 1
        feed = self._feed(size, place)
        lessons = [self._lesson(student, size, place) for student in self.students]
        fed = self.feeder.replay(feed, after=self.used[place])
        self.used[place] = [
            self.lanes[student.key].replay(lesson, after=[fed])
            for student, lesson in zip(self.students, lessons, strict=True)
        ]

    def end(self) -> None:
        """What follows on the device waits for every lane."""
        for lane in self._all_lanes():
            lane.lead()
        self.used = [[] for _ in range(self.RING)]

    @contextmanager
    def paused(self) -> Iterator[None]:
        self.end()
        yield
        for lane in self._all_lanes():
            lane.follow()

    def _all_lanes(self) -> list[Lane]:
        return [self.feeder, *(self.lanes[student.key] for student in self.students)]

    def _feed(self, size: int, place: int) -> Recording:
        if (size, place) not in self.feeds:
            with self._undone(lambda: [self.position]):
                feed = self.feeder.record(lambda: self._next_batch(size))
                self.feeder.replay(feed, after=())  # a capture computes nothing: fill the place
            self.feeds[size, place] = feed
        return self.feeds[size, place]

    def _next_batch(self, size: int) -> tuple[Batch, Outputs]:
        assert self.views is not None
        rows = self.position + torch.arange(size, device=self.position.device)
        rows %= len(self.images.labels)  # warming up goes beyond the end of the epoch
        batch = take(self.images, self.views[rows])
        outputs = self.teacher(batch)
        self.position.add_(size)
        return batch, outputs

    def _lesson(self, student: Student, size: int, place: int) -> Recording:
        name = (student.key, student.loss, size, place)
        if name not in self.lessons:
            batch, outputs = self.feeds[size, place].kept
            with self._undone(student.tensors):
                lane = self.lanes[student.key]
                self.lessons[name] = lane.record(lambda: student.learn(batch, outputs))
        return self.lessons[name]

    @contextmanager
    def _undone(self, tensors: Callable[[], Iterable[Tensor]]) -> Iterator[None]:
        """Between two steps: undo, in place, what the block does to ``tensors``; new ones are 0."""
        self.end()
        before = {id(tensor): tensor.clone() for tensor in tensors()}
        try:
            yield
        finally:
            self.end()
            with torch.no_grad():
                for tensor in tensors():
                    tensor.copy_(before.get(id(tensor), torch.zeros_like(tensor)))
            for lane in self._all_lanes():
                lane.follow()
