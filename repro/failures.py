"""The runs of a grid that ended as FAILED: those that diverged, and those that broke otherwise."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from repro.choice import Choice
from repro.records import Record, Records
from repro.results import GridResults, everything
from repro.spec import Run, key

NOT_FINITE = "is not finite"  # how the reason of a run that diverged reads (``train.cohort``)


class Failure(NamedTuple):
    """A run, as the grid names it, and why it ended."""

    run: Run
    reason: str

    @property
    def diverged(self) -> bool:
        return NOT_FINITE in self.reason

    @property
    def words(self) -> str:
        return f"{self.run.pair} {self.run.method} trial {self.run.trial}"


def failures(results: GridResults) -> list[Failure]:
    """In the grid's order, whatever trials, methods and pairs of it were asked for.

    A run that stands in several pairs fails in each of them.
    """
    failed = {record.key: record for record in _failed(results.runs_dir)}
    if not failed:
        return []
    known = _known(results, [record.run() for record in failed.values()])
    return [Failure(run, _reason(failed[key(run)])) for run in known if key(run) in failed]


def failed_records(results: GridResults) -> list[Record]:
    """Each once."""
    records = Records(results.runs_dir)
    return [records.of(k) for k in dict.fromkeys(key(found.run) for found in failures(results))]


def _failed(runs_dir: Path) -> Iterator[Record]:
    records = Records(runs_dir)
    folders = (runs_dir / "records", runs_dir / "recorded")
    keys = {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}
    return (records.of(k) for k in sorted(keys) if records.state(k) == "FAILED")


def _known(results: GridResults, failed: Sequence[Run]) -> tuple[Run, ...]:
    """Every run of the grid with the trials and methods that finished or failed."""
    runs = (*results.runs, *failed)
    choice = Choice(
        trials=1 + max(run.trial for run in runs),
        precision=(results.runs or failed)[0].precision,
        imported=tuple({run.network: run for run in results.runs if run.weights}.values()),
    )
    methods = tuple(dict.fromkeys(run.method for run in runs))
    return everything(results.grid, results.profile, choice, methods)


def _reason(record: Record) -> str:
    status = record.status()
    return status.reason if status else ""
