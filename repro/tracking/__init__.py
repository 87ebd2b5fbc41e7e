"""MLflow as a view of the records: live logging, sync and results. The only user of mlflow."""

from repro.tracking.checks import Synced, check_records, sync_records
from repro.tracking.mirror import Mirror, Outcome
from repro.tracking.results import load_results, write_summary
from repro.tracking.store import (
    TrackingError,
    experiment_id,
    open_store,
    refused,
    told,
    tracking_uri,
)

__all__ = [
    "Mirror",
    "Outcome",
    "Synced",
    "TrackingError",
    "check_records",
    "experiment_id",
    "load_results",
    "open_store",
    "refused",
    "sync_records",
    "told",
    "tracking_uri",
    "write_summary",
]
