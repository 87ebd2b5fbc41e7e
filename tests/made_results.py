"""Results of runs that nobody trained."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from repro.profiles import PROFILES, Profile
from repro.results import GridResults, grid_results
from repro.spec import Run, key

PAPER, DEMO = PROFILES["paper"], PROFILES["demo"]
QUICK = replace(
    PROFILES["quick"],
    pairs={
        "cifar-same": (("resnet20", "resnet8"),),
        "cifar-different": (("resnet20", "resnet14"),),
        "stronger-teacher": (("resnet14", "resnet8"), ("resnet20", "resnet8")),
        "ablation": (("resnet20", "resnet8"),),
    },
    union=("cifar-same", "cifar-different"),
)
COLUMNS = ["run_id", "key", "dataset", "profile", "grid", "pair", "teacher", "student", "method"]


def finished(*runs: Run, grid: str = "cifar") -> pd.DataFrame:
    """Rows as tracking gives them: pair and method are those of the grid that trained them."""
    rows = [
        {
            "run_id": f"id {number}",
            "key": key(run),
            "dataset": run.stream.dataset,
            "profile": "quick",
            "grid": grid,
            "pair": run.pair,
            "teacher": run.teacher.network if run.teacher else "",
            "student": run.network,
            "method": run.method,
            "trial": run.trial,
            "top1_last": 50.0 + number,
            "top1_last10": 50.0 + number,
        }
        for number, run in enumerate(runs)
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS, "trial", "top1_last", "top1_last10"])


def results_of(grid: str, profile: Profile, table: pd.DataFrame) -> GridResults:
    return grid_results(grid, profile, Path("runs"), Path("data"), table)
