"""What MLflow holds of a run beside what its record says. Pure: ``tracking`` reads and mends."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from repro import view
from repro.records import Status

LARGEST = 1.7976931348623157e308  # what SQL stores keep of an infinite value


@dataclass(frozen=True)
class Seen:
    """What MLflow holds of a run. ``shown``: see ``view.shown``; ``described``: its params are
    there; ``top1``: (step, value) in any order; ``artifacts``: bytes by name, None: unknown."""

    run_id: str
    started_ms: int
    shown: tuple[Any, ...]
    complete: bool
    described: bool
    tags: Mapping[str, str] = field(default_factory=dict)
    final: Mapping[str, float] = field(default_factory=dict)
    top1: Sequence[tuple[int, float]] = ()
    artifacts: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Wanted:
    """What the record says: ``top1`` by epoch; ``artifacts``: bytes by name."""

    status: Status
    tags: Mapping[str, str]
    top1: Mapping[int, float]
    artifacts: Mapping[str, int]


def same(first: float, second: float) -> bool:
    """As MLflow's stores keep numbers: within their last digits, not-a-number like itself."""
    first, second = (max(-LARGEST, min(LARGEST, value)) for value in (first, second))
    both_nan = math.isnan(first) and math.isnan(second)
    return both_nan or math.isclose(first, second, rel_tol=1e-9, abs_tol=1e-12)


def beyond_mending(wanted: Wanted, seen: Seen) -> list[str]:
    """Why the run must be made anew: MLflow neither changes nor removes what was logged.

    For a run that nobody trains: until an interrupted one has caught up, it may be behind.
    """
    status, stored, final = wanted.status, dict(seen.top1), dict(wanted.status.final)
    reasons = {
        "of another training": seen.started_ms != status.started_ms,
        "complete, the record is not": seen.complete and status.state != "FINISHED",
        "an epoch twice": len(stored) < len(seen.top1),
        "other accuracies": differ(wanted.top1, stored),
        "epochs that the record lacks": bool(stored.keys() - wanted.top1.keys()),
        "other final metrics": differ(final, seen.final),
        "a part of the final metrics": bool(seen.final) and bool(final.keys() - seen.final.keys()),
    }
    return [words for words, found in reasons.items() if found]


def differ(wanted: Mapping[Any, float], stored: Mapping[Any, float]) -> bool:
    return any(not same(wanted[name], stored[name]) for name in wanted.keys() & stored.keys())


def missing(wanted: Wanted, seen: Seen) -> list[str]:
    """What can be added or set."""
    status = wanted.status
    state, finished = view.STATES[status.state], status.state == "FINISHED"
    shown = view.shown(state, status.ended_ms, status.reason[: view.REASON_CHARACTERS])
    epochs = len(wanted.top1.keys() - dict(seen.top1).keys())
    files = lacking(wanted.artifacts, seen.artifacts) if finished else []
    reasons = {
        "no params": not seen.described,
        f"{epochs} epochs are missing": epochs > 0,
        f"status {seen.shown[0]}, not {state}": seen.shown[0] != state,
        "another end or reason": seen.shown[0] == state and seen.shown != shown,
        "other tags": any(seen.tags.get(name) != value for name, value in wanted.tags.items()),
        "final metrics are missing": bool(dict(status.final).keys() - seen.final.keys()),
        f"artifacts are missing: {' '.join(files)}": bool(files),
        "not marked complete": finished and not seen.complete,
    }
    return [words for words, found in reasons.items() if found]


def lacking(wanted: Mapping[str, int], stored: Mapping[str, int | None]) -> list[str]:
    """Artifacts that are not there, or of another size."""
    return [name for name, size in wanted.items() if stored.get(name, -1) not in (size, None)]
