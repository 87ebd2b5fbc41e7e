"""KD, DIST and CMKD as they are and as tuned on held-out images, by the same budget."""

from pathlib import Path

from repro.analysis.formats import write_files
from repro.analysis.tuning import tuned_files, tuned_table
from repro.results import GridResults

GRID = "tuned"


def write(results: GridResults, out: Path) -> list[Path]:
    """``tuned.{md,tex,html,csv}``, for grid tuned."""
    if results.grid != GRID:
        return []
    table = tuned_table(results.table, results.parts[GRID], results.methods(GRID))
    title = "Tuned on held-out images: top-1 (%)"
    return write_files(tuned_files(table, title, results.marks), out / "tuned")
