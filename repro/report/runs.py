"""Links from the cells of a table to the runs behind them, and the list of these runs."""

import pandas as pd

from repro.analysis.accuracy import cell_runs
from repro.records import Record
from repro.report.html import element, table, text
from repro.results import GridResults

KEY_DIGITS = 12


def anchor(pair: str, method: str) -> str:
    """The name of a cell's runs in the page."""
    return f"runs-{pair}-{method}".replace(":", "-").replace("/", "-").replace("+", "-and-")


def links(wide: pd.DataFrame, known: set[tuple[str, str]]) -> dict[tuple[int, int], str]:
    """Of a frame with methods as rows and pairs as columns, its index being the first column."""
    return {
        (i, j): f"#{anchor(pair, method)}"
        for i, method in enumerate(wide.index)
        for j, pair in enumerate(wide.columns, start=1)
        if (pair, method) in known
    }


def cells_of(results: GridResults) -> list[tuple[str, str]]:
    """(pair, method) of every cell that has runs."""
    return [
        (pair, method)
        for part, pairs in results.parts.items()
        for pair in pairs
        for method in results.methods(part)
        if len(cell_runs(results.table, pair, method))
    ]


def run_list(results: GridResults) -> str:
    """Every cell's runs: record, MLflow's id, top-1 by metric."""
    parts = []
    for pair, method in dict.fromkeys(cells_of(results)):
        rows = cell_runs(results.table, pair, method)
        shown = pd.DataFrame(
            {
                "trial": rows["trial"],
                "record": [f"records/{key[:KEY_DIGITS]}..." for key in rows["key"]],
                "MLflow run": rows["run_id"],
                **{metric: rows[metric] for metric in ("top1_last10", "top1_last", "top1_best")},
            }
        )
        heading = element("h4", text(f"{pair} {method}"))
        parts.append(element("div", heading, table(shown), id=anchor(pair, method)))
    return "".join(parts)


def environments(results: GridResults) -> pd.DataFrame:
    """On what the runs were trained: a row a distinct machine and version, with its runs."""
    rows = []
    for run in results.runs:
        found = Record(results.record(run).directory).environment() or {}
        rows.append({name: str(found.get(name, "")) for name in ("device", "torch", "python")})
    frame = pd.DataFrame(rows)
    counted = frame.groupby(list(frame.columns), sort=False).size()
    return counted.rename("runs").reset_index()
