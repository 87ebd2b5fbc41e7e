"""What every network and its training cost, by pair and method."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from repro.analysis.formats import table_files
from repro.analysis.tables import MISSING, spread_words

SAME = ("parameters", "beside", "untrained", "macs", "epochs")
MEANS = ("cohort_seconds", "students", "seconds", "images_per_second")
WORDS = ("device", "teacher")
LEGEND = (
    "Parameters: of the network that answers. Beside it: of adapters that are trained with it and "
    "thrown away (in brackets the numbers that they keep untrained). MACs: multiply-accumulates of "
    "convolutions and classifier in one forward pass for one image; FLOPs: two each.",
    "Students of one cohort share batches, the teacher's passes and their time: cohort is the wall "
    "time of its epochs, own share that time divided by its students, both mean ± std (trials) in "
    "seconds, tests after each epoch included, the making of a teacher bank not. So a share says "
    "what a student cost here, in this company, and not how fast its method is: that is `repro "
    "methods`, which measures each one alone.",
    "Images/s: training images of all students of a cohort together, a second.",
)


def compute_table(costs: pd.DataFrame) -> pd.DataFrame:
    """From ``costs_of``: a row a (pair, method), teachers first; n counts trials.

    Sizes and words are those that the trials agree on: several are joined by " / ".
    """
    cells = costs.groupby(["pair", "method"], sort=False)
    rows = [{"pair": pair, "method": method} | _row(own) for (pair, method), own in cells]
    return pd.DataFrame(rows).sort_values("method", key=lambda m: m != "teacher", kind="stable")


def _row(own: pd.DataFrame) -> dict[str, Any]:
    row: dict[str, Any] = {"n": len(own)}
    for name in (*SAME, *WORDS):
        found = list(dict.fromkeys(own[name]))
        row[name] = found[0] if len(found) == 1 else " / ".join(str(value) for value in found)
    for name in MEANS:
        row |= {name: own[name].mean(), f"{name}_std": own[name].std(ddof=1)}
    row["flops"] = 2 * row["macs"]
    return row | {"keys": tuple(own["key"])}


def compute_files(table: pd.DataFrame, title: str, marks: Sequence[str]) -> dict[str, str]:
    """A ``compute_table`` by file suffix."""
    cells = pd.DataFrame([_shown(row) for row in table.to_dict("records")])
    return table_files(cells, table, title, lines=(*marks, *LEGEND))


def _shown(row: dict[Any, Any]) -> dict[str, str]:
    untrained = f" (+{row['untrained']:,})" if row["untrained"] else ""
    beside = f"{row['beside']:,}{untrained}" if row["beside"] or untrained else MISSING
    return {
        "pair": row["pair"],
        "method": row["method"],
        "parameters": f"{row['parameters']:,}",
        "beside it": beside,
        "MACs (M)": f"{row['macs'] / 1e6:.2f}",
        "FLOPs (M)": f"{row['flops'] / 1e6:.2f}",
        "epochs": str(row["epochs"]),
        "cohort (s)": _mean(row, "cohort_seconds"),
        "students": _number(row["students"]),
        "own share (s)": _mean(row, "seconds"),
        "images/s": _number(row["images_per_second"], ",.0f"),
        "teacher": row["teacher"] or MISSING,
        "device": row["device"] or MISSING,
    }


def _mean(row: dict[Any, Any], name: str) -> str:
    known = row[name] == row[name]
    return spread_words(row[name], row[f"{name}_std"], row["n"], 1) if known else MISSING


def _number(value: float, form: str = "g") -> str:
    return f"{value:{form}}" if value == value else MISSING
