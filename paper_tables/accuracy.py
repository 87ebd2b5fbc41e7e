"""Accuracy by pair and method: ours, the published value and the difference."""

from pathlib import Path

import pandas as pd

from repro.analysis.accuracy import comparison_table
from repro.analysis.comparison import comparison_files
from repro.analysis.formats import write_files
from repro.analysis.published import load_published
from repro.analysis.table_verdict import row_differences, row_lines
from repro.results import GridResults

PUBLISHED = Path(__file__).parent / "published.csv"
TITLES = {
    "cifar-same": "Same-architecture pairs: top-1 (%)",
    "cifar-different": "Different-architecture pairs: top-1 (%)",
    "stronger-teacher": "One student under stronger teachers: top-1 (%)",
    "ablation": "CMKD's choices, each varied alone: top-1 (%)",
    "tuning": "Candidates for temperature and weight: top-1 (%) on held-out images",
    "tuned": "Methods as they are and as tuned on held-out images: top-1 (%)",
    "plug-in": "Methods alone and with plug-ins: top-1 (%)",
    "imagenet": "ImageNet: top-1 (%)",
    "imagenet-stronger": "ImageNet, students under stronger teachers: top-1 (%)",
    "demo": "Demo on scikit-learn's digits: top-1 (%)",
}


def write(results: GridResults, out: Path) -> list[Path]:
    """``accuracy.{md,tex,html,csv}``; a union of grids has a table a part."""
    written = []
    for part, pairs in results.parts.items():
        table = comparison_table(
            results.table,
            load_published(PUBLISHED),
            pairs=pairs,
            methods=results.methods(part),
            dataset=results.profile.stream.dataset,
            comparable=results.profile.comparable,
        )
        name = "accuracy" if len(results.parts) == 1 else f"accuracy-{part}"
        files = comparison_files(
            table, TITLES[part], results.marks, _verdict_of_rows(results, table)
        )
        written += write_files(files, out / name)
    return written


def _verdict_of_rows(results: GridResults, table: pd.DataFrame) -> tuple[str, ...]:
    """Other profiles do not train as the published networks were."""
    if results.profile.name != "paper":
        return ()
    return row_lines(row_differences(results.table, table))
