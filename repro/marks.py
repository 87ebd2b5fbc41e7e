"""What tables and figures must say of the runs that they show, beside what the profile says."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from repro.errors import UserError
from repro.records import Record

HELD_OUT = "Evaluated on a tenth of the training images, which were held out; no test image"
DIGITS = 12  # of a commit


def together(records: Iterable[Record]) -> tuple[str, ...]:
    """Of runs that several processes trained: their keys are those of one process's."""
    found: dict[str, None] = {}
    for record in records:
        with suppress(UserError):  # damaged: ``repro doctor`` tells
            found[str(record.environment().get("processes", ""))] = None
    shares = "BatchNorm and losses that compare images saw shares of each batch"
    return tuple(f"Trained by {words} processes together: {shares}" for words in found if words)


def elsewhere(records: Sequence[Record], *, whole: bool) -> tuple[str, ...]:
    """Of runs that were recorded on another machine: all of a ``whole`` directory, else those that
    were taken in."""
    found = records if whole else [record for record in records if record.taken]
    if not found:
        return ()
    count = "" if len(found) == len(records) else f"{len(found)} of {len(records)} runs: "
    words = "Recorded results, not of this machine"
    return (f"{count}{words}, trained {_dates(found)} on {machines(found)}",)


def _dates(records: Iterable[Record]) -> str:
    """The first and the last day on which one ended."""
    ended = []
    for record in records:
        with suppress(UserError):
            if (status := record.status()) and status.ended_ms:
                ended.append(status.ended_ms)
    ends = (min(ended), max(ended)) if ended else ()
    days = [datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d") for ms in ends]
    return " to ".join(dict.fromkeys(days)) or "on an unknown day"


def machines(records: Iterable[Record]) -> str:
    """Devices, versions of torch and the commits that trained there."""
    commits: dict[str, dict[str, None]] = {}
    for record in records:
        found: dict[str, object] = {}
        with suppress(UserError):
            found = record.environment()
        where = f"{found.get('device')}, torch {found.get('torch')}"
        commit = str(found.get("git_commit") or "unknown")[:DIGITS]
        commits.setdefault(where, {})[commit] = None
    return "; ".join(f"{where}, commit {', '.join(by)}" for where, by in commits.items())
