"""``repro sync``: every record beside all that MLflow holds of it, and what differs mended."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from mlflow import MlflowClient
from mlflow.entities import Run, RunTag

from repro import view
from repro.collector import without_collector
from repro.differences import Seen, Wanted, beyond_mending, missing
from repro.errors import UserError
from repro.leases import Leases
from repro.records import MALFORMED, REASON_CHARACTERS, Record, Status
from repro.stages import stage_of
from repro.tracking.entries import durable, ids_of, wanted_of
from repro.tracking.mirror import Mirror, Outcome, named_run, seen_of, stored_of
from repro.tracking.moved import moved
from repro.tracking.store import (
    TrackingError,
    checked,
    read_store,
    reason_of,
    refused,
    told,
    tracking_uri,
)

BROKEN = (UserError, *MALFORMED)  # what a record may raise


@dataclass(frozen=True)
class Synced:
    """How the sync of a record ended; ``reason``: what is damaged."""

    record: Record
    outcome: Literal["written", "right", "held", "damaged"]
    reason: str = ""


def sync_records(
    records: Iterable[Record], runs_dir: Path, leases: Leases | None = None
) -> Iterator[Synced]:
    """Make MLflow equal to the records; what is right already is not written.

    What another process holds is left to it, and a damaged record stops no other one. Raises
    UserError where MLflow cannot be reached.
    """
    records = list(records)
    with told(tracking_uri(runs_dir)):
        mirror = Mirror(runs_dir, leases)
        known = runs_by_key(mirror.client, records)
        for record in records:
            mend = partial(make_equal, mirror, known.get(record.key, []))
            with without_collector():  # it takes a quarter of the time, and looks between two
                synced = apart(record, partial(mirror.under_lease, record, "sync", mend))
            yield synced


def check_records(
    records: Iterable[Record], runs_dir: Path, leases: Leases | None = None
) -> list[tuple[Record, str]]:
    """What a sync would change: (record, what differs in words). Writes nothing.

    Runs in training are left out. Raises as ``sync_records``.
    """
    leases, records, found = leases or Leases(), list(records), []
    uri = tracking_uri(runs_dir)
    with told(uri):
        client = read_store(runs_dir)
        known = runs_by_key(client, records) if client else {}
        old = moved(runs_dir) if client else []
        for record in records:
            stage = stage_of(record.directory)
            if stage and not leases.dead(stage):
                continue
            try:
                words = _compare(client, record, uri=uri, runs=known.get(record.key, []), old=old)
            except (*TrackingError, *BROKEN) as error:
                words = [damage(record, error)]
            found += [(record, "; ".join(words))] if words else []
    return found


def apart(record: Record, work: Callable[[], Outcome]) -> Synced:
    """How ``work`` on the record ended; what MLflow fails at is raised."""
    try:
        return Synced(record, work())
    except (*TrackingError, *BROKEN) as error:
        return Synced(record, "damaged", damage(record, error))


def damage(record: Record, error: Exception) -> str:
    """What is wrong with this record alone, in words; what MLflow fails at is raised."""
    if isinstance(error, TrackingError):
        file = getattr(error, "filename", None)
        of_record = file is not None and Path(file).is_relative_to(record.directory)
        if not refused(error) and not of_record:
            raise error
    if isinstance(error, (*TrackingError, UserError)):
        return reason_of(error)
    found = repr(error)[:REASON_CHARACTERS]
    return f"{record.directory} holds something else than expected: {found}"


def runs_by_key(client: MlflowClient, records: Iterable[Record]) -> dict[str, list[Run]]:
    """The active runs of the records' experiments, in a few calls for all of them."""
    names = {name for record in records if (name := experiment_of(record))}
    found: dict[str, list[Run]] = {}
    experiments = [e for name in sorted(names) if (e := client.get_experiment_by_name(name))]
    ids, token = [e.experiment_id for e in experiments], None
    while ids:
        with without_collector():
            page = client.search_runs(ids, max_results=1000, page_token=token)
        for run in page:
            found.setdefault(run.data.tags.get("key", ""), []).append(run)
        token = page.token
        if not token:
            break
    return found


def experiment_of(record: Record) -> str:
    """The name; "" where the record is damaged, which is told when its turn comes."""
    with suppress(*BROKEN):
        return checked(view.experiment_name(record.tags()))
    return ""


def make_equal(mirror: Mirror, runs: Sequence[Run], record: Record, status: Status) -> bool:
    """Mend what differs; False where nothing did. What cannot be mended is deleted and made anew,
    and so are further runs of the same key."""
    mirror.stored.pop(record.key, None)
    wanted = wanted_of(record, status)
    run, others = chosen(mirror.client, mirror.uri, record, status, runs)
    for other in others:
        mirror.delete(record, other.info.run_id)
    seen = seen_of(mirror.client, run, full=True) if run else None
    if run and seen and beyond_mending(wanted, seen):
        mirror.delete(record, run.info.run_id)
        run = None
    if not run or not seen:
        return mirror.add_new(record, status)
    mirror.remember(record, run.info.run_id)
    if not missing(wanted, seen):
        return bool(others)
    _add_missing(mirror, record, status, wanted, seen)
    return True


def _add_missing(
    mirror: Mirror, record: Record, status: Status, wanted: Wanted, seen: Seen
) -> None:
    if not seen.described:
        mirror.describe(record, seen.run_id)
    stored = mirror.stored[record.key] = stored_of(seen)
    mirror.log_epochs(record, stored)
    if any(seen.tags.get(name) != value for name, value in wanted.tags.items()):
        with durable(record, "tags logged"):
            tags = [RunTag(name, value) for name, value in wanted.tags.items()]
            mirror.client.log_batch(seen.run_id, tags=tags)
    mirror.log_status(record, stored, status)


def chosen(
    client: MlflowClient, uri: str, record: Record, status: Status, runs: Sequence[Run]
) -> tuple[Run | None, list[Run]]:
    """The run to keep, one of this training before others, the one that the record names before
    its like; and the rest."""
    named = ids_of(record).get(uri)
    known = {run.info.run_id: run for run in runs}
    if named and named not in known and (found := named_run(client, record, uri)):
        known[named] = found

    def rank(run: Run) -> tuple[bool, bool, bool]:
        mine = run.info.start_time == status.started_ms
        return mine, run.info.run_id == named, run.data.tags.get("complete") == "true"

    ranked = sorted(known.values(), key=rank, reverse=True)
    return (ranked[0], ranked[1:]) if ranked else (None, [])


def _compare(
    client: MlflowClient | None,
    record: Record,
    *,
    uri: str,
    runs: Sequence[Run],
    old: Sequence[str],
) -> list[str]:
    """What differs, in words. ``old``: addresses that a moved directory had."""
    status = record.status()
    if status is None:
        return []
    wanted = wanted_of(record, status)
    run, others = chosen(client, uri, record, status, runs) if client else (None, [])
    if client is None or run is None:
        return ["not in MLflow"]
    seen = seen_of(client, run, full=True)
    words = [f"{1 + len(others)} runs of this key in MLflow"] if others else []
    words += beyond_mending(wanted, seen) or missing(wanted, seen)
    places = [place for place in old if run.info.artifact_uri.startswith(f"{place}/")]
    return words + [f"its artifacts are looked for in {place}" for place in places]
