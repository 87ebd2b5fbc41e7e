"""``repro show-run``: one run with all its values and where each is from."""

import re
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from repro.errors import UserError
from repro.grid import Choice
from repro.profiles import IMAGENET_PROFILES, PROFILES, Profile
from repro.records import Record, Records
from repro.request import Request
from repro.sources import Row, rows, text
from repro.spec import Run, key

PIPED_WIDTH = 100  # columns, where no terminal tells how many it has
KEY = re.compile(r"[0-9a-f]{8,64}")
AS_RECORDED = "as recorded"


def show_run(request: Request, console: Console) -> None:
    """Print one run of a grid, or the recorded one whose key starts with these digits."""
    by_key = KEY.fullmatch(request.grid)
    run, profile, sources = (of_record if by_key else of_grid)(request)
    record = Records(request.runs_dir).of(key(run))
    for line in (
        f"{run.pair} {run.method} trial {run.trial}, profile {profile.name}",
        f"key {key(run)}",
        f"state {_state(record)}",
        *([f"imported from {record.origin()}"] if run.weights else []),
    ):
        console.print(line, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = max(console.width, PIPED_WIDTH)
    console.print(table(rows(run, profile, sources, AS_RECORDED if by_key else "-")))


def _state(record: Record) -> str:
    if not record.exists():
        return "new"
    status = record.status()
    return f"{status.state if status else 'not begun'}, {record.directory}"


def table(shown: list[Row]) -> Table:
    """One line a value; a gap between what a run is, its stream, its optimiser and its loss."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("name", no_wrap=True)
    made.add_column("value", overflow="fold")
    made.add_column("source", overflow="fold")
    for row, after in zip(shown, [*shown[1:], None], strict=True):
        ends = after is not None and _part(row) != _part(after)
        made.add_row(
            *(Text(cell) for cell in (row.name, text(row.value), row.source)), end_section=ends
        )
    return made


def _part(row: Row) -> str:
    first, dot, _ = row.name.partition(".")
    return first.partition("[")[0] if dot or first == "loss" else ""


def of_grid(request: Request) -> tuple[Run, Profile, dict[str, str]]:
    """The student that the request's words leave, its trial 0, and what these words give.

    Raises UserError where they leave several.
    """
    profile, runs, _ = request.resolve()
    left = [run for run in runs if run.teacher and run.trial == 0]
    # grid plug-in adds to what is named: then it is the named one that is asked for
    left = [run for run in left if run.method in request.choice.methods] or left
    if len(left) == 1:
        return left[0], profile, _sources(request, profile, left[0])
    pairs, methods = {run.pair: 0 for run in left}, {run.method: 0 for run in left}
    ways = [
        f"{option} ({', '.join(known)})"
        for option, known in (("--pairs", pairs), ("--methods", methods))
        if len(known) > 1
    ]
    raise UserError(
        f"{len(left)} runs of grid {request.grid} match; choose one by {' and '.join(ways)}"
    )


def _sources(request: Request, profile: Profile, run: Run) -> dict[str, str]:
    choice, grid = request.choice, f"grid {request.grid}, profile {profile.name}"
    trials = f"the first of {choice.trials or profile.trials}, "
    told = {
        "method": bool(choice.methods),
        **dict.fromkeys(("pair", "network", "teacher"), bool(choice.pairs)),
    }
    changed = {
        "precision": choice.precision is not None,
        "stream.split": choice.split != "full",
        "teacher": run.teacher is not None and run.teacher in choice.imported,
    }
    return {
        **{name: "command line" if by_hand else grid for name, by_hand in told.items()},
        "trial": trials + ("command line" if choice.trials else grid),
        **{name: "command line" for name, by_hand in changed.items() if by_hand},
    }


def of_record(request: Request) -> tuple[Run, Profile, dict[str, str]]:
    """The run of a record, with the profile that its tags name (the paper's if they name none).

    Raises UserError unless exactly one key starts with the digits given.
    """
    if request.choice != Choice() or request.profile != "auto":
        raise UserError("the key alone says which run it is: leave out every option but --runs-dir")
    record = record_of(request.grid, request.runs_dir)
    folder = record.run().stream.dataset == "imagenet"
    known = IMAGENET_PROFILES if folder else PROFILES
    profile = known.get(record.tags().get("profile", ""), known["paper"])
    asked = ("method", "pair", "network", "teacher", "trial")
    return record.run(), profile, dict.fromkeys(asked, AS_RECORDED)


def record_of(start: str, runs_dir: Path) -> Record:
    """The one record whose key starts so. Raises UserError where there is none, or several."""
    places = [runs_dir / part for part in ("records", "recorded")]
    paths = [path for place in places for path in place.glob(f"{start}*")]
    keys = sorted({path.name for path in paths if Record(path).exists()})
    if not keys:
        raise UserError(f"no run in {runs_dir} has a key that starts with {start}")
    if len(keys) > 1:
        raise UserError(f"{len(keys)} keys start with {start}: {', '.join(keys)}; give more digits")
    return Records(runs_dir).of(keys[0])
