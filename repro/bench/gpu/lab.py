"""What an experiment works with: a device, sizes, its time, and a place for the rows it finds."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import IO, Any, TypeVar

from repro.bench.gpu.device import Device, Run

Row = dict[str, Any]
T = TypeVar("T")
CPU_TIMES = 16  # launches of which the processor's time is taken: too few to fill CUDA's queue
ERROR_CHARACTERS = 300


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What is measured; ``TINY`` of it in a rehearsal. ``student``: the network where one will do.

    ``block_seconds``: a block of ``replays`` that would take longer has fewer.
    """

    images: int = 50_000
    test_images: int = 10_000
    batch: int = 64
    student: str = "resnet20"
    replays: int = 200
    repeats: int = 3
    block_seconds: float = 1.5


TINY = Sizes(images=16, test_images=4, batch=2, student="resnet8", replays=2, repeats=2)


@dataclass(frozen=True, kw_only=True)
class Lab:
    """``out`` gets a line of JSON a row, at once. ``began``: by ``time.monotonic``."""

    device: Device
    out: IO[str]
    sizes: Sizes = Sizes()
    seconds: float = float("inf")
    began: float = field(default_factory=time.monotonic)

    def time_left(self) -> bool:
        return time.monotonic() - self.began < self.seconds

    def choose(self, full: Sequence[T], rehearsed: Sequence[T]) -> Sequence[T]:
        return rehearsed if self.device.rehearsal else full

    def quick(self, block_seconds: float) -> "Lab":
        """The same with shorter blocks, for many variants or slow ones."""
        return replace(self, sizes=replace(self.sizes, block_seconds=block_seconds))

    def write(self, row: Row) -> None:
        self.out.write(json.dumps(row, default=str) + "\n")
        self.out.flush()

    def row(self, labels: Row, measure: Callable[[], Row]) -> Row:
        """One row: ``labels`` and what ``measure`` finds, or its error, or that time is up."""
        return self.rows(labels, lambda: [measure()])[0]

    def rows(self, labels: Row, measure: Callable[[], list[Row]]) -> list[Row]:
        """As ``row``; an error is a row too, and the experiment goes on to the next variant."""
        if not self.time_left():
            found: list[Row] = [{"left_out": "the budget is spent"}]
        else:
            self.device.reset()
            found = self._found(measure)
        rows = [labels | one for one in found]
        for one in rows:
            self.write(one)
        return rows

    def _found(self, measure: Callable[[], list[Row]]) -> list[Row]:
        try:
            return measure()
        except Exception as error:  # whatever a variant does, the others are worth their time
            return [{"error": _line(error)}]

    def compare(
        self, labels: Row, makers: Mapping[str, Callable[[], Run]], students: int = 0
    ) -> list[Row]:
        """A row for each ``form`` of the same work, timed in turns: slow seconds hit all of them.

        ``students``: how many a step teaches, for the row's numbers by student. The peak of the
        memory is that of all forms together.
        """

        def measure() -> list[Row]:
            made = {form: self._timed(make) for form, make in makers.items()}
            for _ in range(self.sizes.repeats - 1):
                for found in made.values():
                    self._again(found)
            peak = {"peak_bytes": self.device.peak_bytes()}
            return [
                {"form": form} | by_student(found.as_row(), students, self.sizes.batch) | peak
                for form, found in made.items()
            ]

        return self.rows(labels, measure)

    def time(self, run: Run) -> Row:
        """Min and median over the repeats of a run that is ready."""
        found = self._timed(lambda: run)
        for _ in range(self.sizes.repeats - 1):
            self._again(found)
        if found.error:
            raise RuntimeError(found.error)
        return found.as_row()

    def _timed(self, make: Callable[[], Run]) -> "Timed":
        found, began = Timed(), time.monotonic()
        try:
            found.run = make()
            self.device.synchronize()
            found.make_seconds = time.monotonic() - began
            first = self.device.block_ms(found.run, 2)  # also what only the first replays do
            longest = self.sizes.block_seconds * 1e3
            found.times = max(2, min(self.sizes.replays, int(longest / max(first, 1e-6))))
        except Exception as error:  # the other forms go on
            found.error = _line(error)
        self._again(found)
        return found

    def _again(self, found: "Timed") -> None:
        if found.error or found.run is None:
            return
        try:
            found.ms.append(self.device.block_ms(found.run, found.times))
            found.launch_us.append(self._launch_us(found.run, min(CPU_TIMES, found.times)))
        except Exception as error:  # the other forms go on
            found.error = _line(error)

    def _launch_us(self, run: Run, times: int) -> float:
        """Microseconds of the processor for one launch, while the device does not hold it up."""
        self.device.synchronize()
        began = time.perf_counter()
        run(times)
        spent = time.perf_counter() - began
        self.device.synchronize()
        return spent * 1e6 / times


@dataclass
class Timed:
    """One form's blocks so far. ``make_seconds``: of building and recording it."""

    run: Run | None = None
    times: int = 0
    make_seconds: float = 0.0
    ms: list[float] = field(default_factory=list)
    launch_us: list[float] = field(default_factory=list)
    error: str = ""

    def as_row(self) -> Row:
        if not self.ms:
            return {"error": self.error}
        row: Row = {
            "ms_min": round(min(self.ms), 5),
            "ms_median": round(median(self.ms), 5),
            "cpu_us": round(min(self.launch_us, default=0.0), 2),
            "replays": self.times,
            "repeats": len(self.ms),
            "make_seconds": round(self.make_seconds, 3),
        }
        return row | ({"error": self.error} if self.error else {})


def by_student(row: Row, students: int, batch: int) -> Row:
    """The row with the step's time divided among ``students``, and the images that they learn."""
    if not students or "ms_median" not in row:
        return row
    ms = row["ms_median"] / students
    images = round(batch / ms * 1e3)
    return row | {"ms_per_student": round(ms, 5), "student_images_per_second": images}


def _line(error: Exception) -> str:
    """The type and the first line: PyTorch's messages go on for pages."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:ERROR_CHARACTERS]
