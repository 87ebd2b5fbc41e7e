"""Runs that seem to go on although nobody lives who trains them."""

from contextlib import suppress
from dataclasses import replace

from repro.errors import LeaseLost
from repro.records import Record, now_ms
from repro.runtime import Runtime
from repro.stages import stage_of


def close_stale(runtime: Runtime) -> None:
    """What is RUNNING although nobody lives who holds its lease was killed; say so in records and
    MLflow. The leases of dead owners are cleared away."""
    for record in runtime.records:
        if runtime.records.state(record.key) == "RUNNING" or stage_of(record.directory):
            with suppress(LeaseLost):  # another process goes on with it
                _close(record, runtime)


def _close(record: Record, runtime: Runtime) -> None:
    with runtime.leases.holding(record, "closing") as own:
        if own is None or runtime.records.state(record.key) != "RUNNING":  # it may just have ended
            return
        status = own.status()
        assert status
        ended = max(now_ms(), status.started_ms)
        own.write_status(replace(status, state="STOPPED", ended_ms=ended, reason="was killed"))
        runtime.tracker.update(record)
