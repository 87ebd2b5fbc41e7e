"""Methods alone, with CMKD's terms added, and with DIST's as the control."""

from pathlib import Path

from repro.analysis.formats import write_files
from repro.analysis.plug_in import plug_in_files, plug_in_table
from repro.grid import PLUGGED_IN
from repro.results import GridResults

GRID = "plug-in"


def write(results: GridResults, out: Path) -> list[Path]:
    """``plug_in.{md,tex,html,csv}``, for grid plug-in."""
    if results.grid != GRID:
        return []
    pairs, methods = results.parts[GRID], results.methods(GRID)
    table = plug_in_table(results.table, pairs, methods, PLUGGED_IN)
    files = plug_in_files(table, "Plug-ins: top-1 (%)", results.marks)
    return write_files(files, out / "plug_in")
