"""What the terminal shows while cohorts train."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from repro.plan import Cohort
from repro.train.cohort import EpochReport

LINE_SECONDS = 10.0  # without a terminal: a line an epoch, but at most every so many seconds


class TerminalProgress:
    """A bar a cohort on a terminal; plain lines in a log."""

    def __init__(self, console: Console, cohorts: int) -> None:
        self.console, self.cohorts, self.number = console, cohorts, 0
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TextColumn("{task.fields[shown]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task: TaskID | None = None
        self.images, self.printed = 0, 0.0

    def __enter__(self) -> "TerminalProgress":
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.bars.stop()

    def cohort(self, cohort: Cohort, images: int) -> None:
        self.number, self.images, self.printed = self.number + 1, images, 0.0
        stream = cohort.runs[0].stream
        name = f"[{self.number}/{self.cohorts}] {cohort.label}"
        if self.task is not None:
            self.bars.remove_task(self.task)
        self.task = self.bars.add_task(
            name, total=stream.epochs, completed=cohort.first_epoch, shown=""
        )
        methods = " ".join(run.method for run in cohort.runs)
        start = f", from epoch {cohort.first_epoch}" if cohort.first_epoch else ""
        self.line(f"{name}: {methods}{start}")

    def epoch(self, cohort: Cohort, report: EpochReport, seconds: float) -> None:
        top1 = [values["test/top1"] for values in report.metrics.values()]
        numbers = [value for value in top1 if isinstance(value, float)]
        speed = self.images * len(top1) / seconds
        shown = f"top-1 {min(numbers):.1f}-{max(numbers):.1f} %  {speed:,.0f} images/s"
        assert self.task is not None
        self.bars.update(self.task, completed=report.epoch + 1, shown=shown)
        epochs = cohort.runs[0].stream.epochs
        due = time.monotonic() - self.printed >= LINE_SECONDS or report.epoch == epochs - 1
        if not self.console.is_terminal and due:
            left = (epochs - report.epoch - 1) * seconds
            self.line(f"  epoch {report.epoch + 1}/{epochs}  {shown}  {left:.0f} s left")
            self.printed = time.monotonic()

    def line(self, text: str) -> None:
        self.console.print(text, highlight=False, markup=False)
