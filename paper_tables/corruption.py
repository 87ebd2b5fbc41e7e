"""Accuracy on corrupted and on attacked test images, by pair and method."""

from pathlib import Path

from repro.analysis.corruption_table import corruption_files, corruption_table, legend, outcomes
from repro.analysis.formats import write_files
from repro.analysis.measured import attack_of, corruption_of
from repro.results import GridResults


def write(results: GridResults, out: Path) -> list[Path]:
    """``corruption.{md,tex,html,csv}`` of every method but the ablation's variants; teachers too.

    Networks are measured the first time, as for the figures.
    """
    runs = [run for run in results.runs if "/" not in run.method]
    if not runs:
        return []
    corrupted, attacked = corruption_of(results, runs), attack_of(results, runs)
    table = corruption_table(outcomes(corrupted, attacked))
    notes = legend(int(corrupted["images"].max()), int(attacked["images"].max()))
    title = "Corrupted and attacked test images: top-1 (%)"
    return write_files(corruption_files(table, title, results.marks, notes), out / "corruption")
