"""``repro status``: what is done, running (where, for how long), failed (why), and left."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from rich.text import Text

from repro.choice import NARROWED_BY_NOTHING
from repro.errors import UserError
from repro.estimate import clock
from repro.leases import Leases
from repro.records import Record, Records, now_ms
from repro.request import Request
from repro.spec import Run, key
from repro.stages import OWNER, SILENT_SECONDS, owner_of, stage_of

ORDER = ("FINISHED", "RUNNING", "STOPPED", "FAILED", "DAMAGED", "new")
PIPED_WIDTH = 140  # columns, where no terminal tells how many it has


@dataclass(frozen=True)
class Row:
    """A run as its record tells. ``where``: who trains it; ``note``: why it is not finished."""

    state: str
    name: str
    epochs: str = ""
    where: str = ""
    note: str = ""


def show_status(request: Request, console: Console) -> None:
    """Print the runs of a grid, or without one every run of the directory; nothing is written."""
    records = Records(request.runs_dir)
    if request.grid:
        _, runs, _ = request.resolve()
        rows = [row_of(records.of(key(run)), run) for run in runs]
    elif request.choice != NARROWED_BY_NOTHING:
        raise UserError("give the GRID of which these options choose runs: repro status GRID ...")
    else:
        rows = [row_of(record) for record in records]
    if not rows:
        raise UserError(f"{request.runs_dir} holds no runs; train some with `repro run demo`")
    counts = Counter(row.state for row in rows)
    shown = ", ".join(f"{counts[state]} {state}" for state in ORDER if counts[state])
    line = f"{request.grid or request.runs_dir}: {len(rows)} runs: {shown}"
    console.print(line, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPED_WIDTH)
    if open_rows := [row for row in rows if row.state not in ("FINISHED", "new")]:
        console.print(table_of(open_rows))


def table_of(rows: Iterable[Row]) -> Table:
    table = Table("state", "run", "epochs", "where", "what")
    for row in sorted(rows, key=lambda row: ORDER.index(row.state)):
        table.add_row(*map(Text, (row.state, row.name, row.epochs, row.where, row.note)))
    return table


def row_of(record: Record, run: Run | None = None) -> Row:
    """``run``: what the record is of, where that is known; else it says so itself."""
    try:
        run = run or record.run()
    except UserError as error:
        return Row("DAMAGED", record.key[:12], note=str(error))
    name = f"{run.pair} {run.method} {run.trial}"
    if not record.exists():
        return Row("new", name)
    try:
        status = record.status()
    except UserError as error:
        note = f"{error}, or run its grid: it is mended"
        return Row("DAMAGED", name, epochs_of(record, run), note=note)
    if status is None or status.state == "FINISHED":  # counted only: its history is not read
        return Row("FINISHED" if status else "new", name)
    epochs = epochs_of(record, run)
    if status.state == "RUNNING":
        return Row("RUNNING", name, epochs, *owner_words(record))
    note = status.reason
    if status.state == "FAILED":
        note += f"; remove {record.directory} to try it again"
    return Row(status.state, name, epochs, note=note)


def epochs_of(record: Record, run: Run) -> str:
    return f"{len(record.whole_lines())}/{run.stream.epochs}"


def owner_words(record: Record) -> tuple[str, str]:
    """Who holds the run's lease, and for how long, or that nobody does."""
    stage = stage_of(record.directory)
    owner = owner_of(stage) if stage else None
    if stage is None or owner is None or Leases().dead(stage):  # kill -9 leaves the lease
        return "", "was killed; the same `repro run` goes on"
    held = f"for {clock((now_ms() - owner.since_ms) / 1000)}"
    try:
        silent = time.time() - (stage / OWNER).stat().st_mtime
    except OSError:  # it has just ended
        silent = 0.0
    if silent > SILENT_SECONDS:
        held += f", silent for {clock(silent)}: stopped or dead, the next `repro run` takes over"
    return f"{owner.host}:{owner.pid}", held
