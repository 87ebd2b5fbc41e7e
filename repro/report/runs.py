"""The runs behind the cells: a row a run, to which the cells of the tables link."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from repro.report.html import element, scrolled, text
from repro.results import GridResults

KEY_DIGITS = COMMIT_DIGITS = 12
METRICS = ("top1_last10", "top1_last", "top1_best")
HEADER = ("method", "trial", "record", "MLflow run", *METRICS)
MACHINE = ("device", "threads", "python", "torch", "git_commit", "teacher_outputs")
Cell = tuple[str, str]  # pair, method


def anchors(found: Sequence[GridResults]) -> dict[Cell, str]:
    """By cell with finished runs, the name of these runs in the page. A teacher stands in each of
    its pairs."""
    own = [(run.pair, run.method) for results in found for run in results.runs]
    names = {cell: anchor(*cell) for cell in own}
    for results in found:
        teachers = {run.network for run in results.runs if run.method == "teacher"}
        for pair in results.pairs:
            network = pair.partition(":")[0]
            if network in teachers:
                names[pair, "teacher"] = anchor(network, "teacher")
    return names


def anchor(pair: str, method: str) -> str:
    return "runs-" + re.sub(r"[^\w.-]", "-", f"{pair}-{method.replace('+', '-and-')}")


def run_lists(found: Sequence[GridResults]) -> str:
    """A table a pair, closed until it is asked for, with every cell's runs."""
    columns = ["pair", "method", "trial", "key", "run_id", *METRICS]
    table = pd.concat([results.table[columns] for results in found])
    rows = table.drop_duplicates(["pair", "method", "key"]).to_dict("records")
    cells: dict[str, dict[str, list[dict[Any, Any]]]] = {}
    for row in rows:
        cells.setdefault(row["pair"], {}).setdefault(row["method"], []).append(row)
    return "".join(_of_pair(pair, methods) for pair, methods in cells.items())


def _of_pair(pair: str, methods: Mapping[str, Sequence[dict[Any, Any]]]) -> str:
    head = element("tr", *(element("th", text(name), scope="col") for name in HEADER))
    bodies = [
        element("tbody", *map(_run, runs), id=anchor(pair, method))
        for method, runs in methods.items()
    ]
    summary = element("summary", text(f"{pair}: {sum(map(len, methods.values()))} runs"))
    shown = scrolled(element("thead", head) + "".join(bodies), f"runs of {pair}")
    return element("details", summary, shown)


def _run(run: dict[Any, Any]) -> str:
    key, numbers = str(run["key"]), (f"{run[metric]:.2f}" for metric in METRICS)
    record = element("code", text(key[:KEY_DIGITS]), title=f"records/{key}")
    cells = (text(run["trial"]), record, element("code", text(run["run_id"])), *numbers)
    name = element("th", text(run["method"]), scope="row")
    return element("tr", name, *(element("td", cell) for cell in cells))


def _short(name: str, value: object) -> str:
    return str(value or "")[: COMMIT_DIGITS if name == "git_commit" else None]


def environments(results: GridResults) -> pd.DataFrame:
    """On what the runs were trained: a row a distinct machine and version, with its runs."""
    rows = []
    for run in results.runs:
        found = results.record(run).environment()
        rows.append(tuple(_short(name, found.get(name)) for name in MACHINE))
    counted = pd.Series(rows).value_counts(sort=False)
    frame = pd.DataFrame(list(counted.index), columns=[name.replace("_", " ") for name in MACHINE])
    return frame.assign(runs=counted.to_numpy())
