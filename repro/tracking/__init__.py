"""MLflow as a view of the records: live logging, sync and results. The only user of mlflow."""

from repro.tracking.checks import Synced, check_records, experiment_of, sync_records
from repro.tracking.logged import write_outputs
from repro.tracking.mirror import Mirror, Outcome
from repro.tracking.results import load_results
from repro.tracking.store import (
    TrackingError,
    experiment_id,
    open_store,
    refused,
    told,
    tracking_uri,
)
from repro.tracking.summary import Entry, write_entries, write_note, write_summary

__all__ = [
    "Entry",
    "Mirror",
    "Outcome",
    "Synced",
    "TrackingError",
    "check_records",
    "experiment_id",
    "experiment_of",
    "load_results",
    "open_store",
    "refused",
    "sync_records",
    "told",
    "tracking_uri",
    "write_entries",
    "write_note",
    "write_outputs",
    "write_summary",
]
