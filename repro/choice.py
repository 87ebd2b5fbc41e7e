"""What the command line narrows or changes of a grid: values only."""

from collections.abc import Iterable
from dataclasses import dataclass

from repro.errors import UserError, choose
from repro.spec import Precision, Run, Split

ALL = ("all",)
DEFAULT_METHODS = ("ce", "kd", "dkd", "dist", "cmkd")  # a grid's, unless others are chosen


@dataclass(frozen=True, kw_only=True)
class Choice:
    """What the command line narrows or changes; empty means the grid's own.

    ``methods`` ("all",) is every method that the grid knows. ``imported``: teachers that stand in
    the place of the grid's own of the same networks. ``precision``: None for the profile's.
    """

    trials: int | None = None
    pairs: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    precision: Precision | None = None
    split: Split = "full"
    imported: tuple[Run, ...] = ()

    def __post_init__(self) -> None:
        if self.imported and self.split == "tune":
            raise UserError("--held-out: an imported teacher may have learned the held-out images")
        if self.trials is not None and self.trials < 1:
            raise UserError(f"--trials must be at least 1, not {self.trials}")
        if ALL[0] in self.methods and self.methods != ALL:
            raise UserError("--methods all is every method: leave the others out")


NARROWED_BY_NOTHING = Choice()


def check_taught(runs: Iterable[Run], choice: Choice) -> None:
    """Raises UserError where an imported teacher teaches none of ``runs``."""
    taught = {run.teacher.network: run for run in runs if run.teacher}
    for teacher in choice.imported:
        if teacher.network not in taught:
            raise choose("teacher of the grid", teacher.network, taught)


def check_imported(runs: Iterable[Run], choice: Choice) -> None:
    """Also raises UserError where one knows other data than ``runs``."""
    runs = tuple(runs)
    check_taught(runs, choice)
    for teacher in choice.imported:
        for data in {run.stream.dataset for run in runs} - {teacher.stream.dataset}:
            raise UserError(
                f"the imported {teacher.network} knows {teacher.stream.dataset}, not {data}"
            )
        own = teacher.stream.num_classes
        for classes in {run.stream.num_classes for run in runs} - {own}:
            raise UserError(
                f"the imported {teacher.network} answers {own:,} classes, the folder of images has "
                f"{classes:,}: leave it out, and teachers are trained on the folder"
            )
