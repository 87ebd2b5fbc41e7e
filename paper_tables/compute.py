"""What every network and its training cost: parameters, operations, time, device."""

from pathlib import Path

from repro.analysis.compute_table import compute_files, compute_table
from repro.analysis.formats import write_files
from repro.costs import costs_of
from repro.results import GridResults


def write(results: GridResults, out: Path) -> list[Path]:
    """``compute.{md,tex,html,csv}`` of every finished run, teachers first."""
    if not results.runs:
        return []
    table = compute_table(costs_of(results))
    title = "Compute: parameters, operations and training time"
    return write_files(compute_files(table, title, results.marks), out / "compute")
