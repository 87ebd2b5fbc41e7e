"""What each choice of CMKD is worth: every variant beside the default, with verdicts."""

from pathlib import Path

from repro.analysis.ablation import ablation_files, ablation_table
from repro.analysis.formats import write_files
from repro.results import GridResults

PART = "ablation"


def write(results: GridResults, out: Path) -> list[Path]:
    """``ablation.{md,tex,html,csv}``, for grids with the ablation's pairs."""
    if PART not in results.parts:
        return []
    table = ablation_table(results.table, results.parts[PART], results.methods(PART))
    title = "CMKD's choices: each variant less the default, top-1 (points)"
    return write_files(ablation_files(table, title, results.marks), out / "ablation")
