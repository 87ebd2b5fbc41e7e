"""Top-1 of finished runs by cell, beside the published values.

``results``: one row a finished run with the columns run_id, key, dataset, profile, pair, teacher,
student, method, trial and the metrics in percent: top1_last, top1_best, top1_last10.
"""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from repro.analysis.published import Cells as PublishedCells
from repro.analysis.published import by_cell, published_for
from repro.analysis.standing import standing
from repro.analysis.statistics import (
    PublishedDifference,
    hull,
    pooled_std,
    published_difference,
    published_margin,
    t_interval,
)
from repro.errors import UserError, choose

METRICS = ("top1_last", "top1_best", "top1_last10")
PRIMARY = "top1_last10"  # of comparisons inside the suite
TAUGHT = "top1_last"  # a teacher's: of the stored weights, which taught
PRIMARY_WORDS = "mean of the last 10 epochs (under 50 epochs: of the last fifth)"
METRIC_OF_EPOCH = {"last": "top1_last", "best": "top1_best", "unknown": "top1_last"}
NOT_PUBLISHED: dict[str, Any] = {
    **dict.fromkeys(("top1", "std", "n_runs"), math.nan),
    **dict.fromkeys(("epoch_reported", "source", "place"), ""),
}


def summarise(results: pd.DataFrame, metric: str = "top1_last") -> pd.DataFrame:
    """One row a (pair, method), in order of appearance: mean, std (ddof 1), n, ci95, run_ids, keys.

    ``ci95`` is the half-width of the 95 % t interval; it and ``std`` are NaN for one run.
    Raises UserError if a cell holds two different runs of one trial.
    """
    columns = ["pair", "method", *_cell_numbers(results.iloc[:0], metric)]
    cells = results.groupby(["pair", "method"], sort=False)
    return pd.DataFrame(
        [
            {"pair": pair, "method": method} | _cell_numbers(runs, metric)
            for (pair, method), runs in cells
        ],
        columns=columns,
    )


def _cell_numbers(runs: pd.DataFrame, metric: str) -> dict[str, Any]:
    if metric not in METRICS:
        raise choose("metric", metric, METRICS)
    if not runs["key"].is_unique:
        runs = runs.drop_duplicates("key")
    if not runs["trial"].is_unique:
        repeated = runs[runs["trial"].duplicated(keep=False)]
        one = repeated.iloc[0]
        raise UserError(
            f"{one['pair']} {one['method']} has several runs of trial {one['trial']}: "
            f"{', '.join(key[:12] for key in repeated['key'])}; select the keys of one grid"
        )
    mean, low, high = t_interval(runs[metric])
    return {
        "mean": mean,
        "std": float(runs[metric].std(ddof=1, skipna=False)) if len(runs) > 1 else math.nan,
        "n": len(runs),
        "ci95": (high - low) / 2,
        "run_ids": tuple(runs["run_id"]),
        "keys": tuple(runs["key"]),
    }


class Cells(dict[tuple[str, str], pd.DataFrame]):
    """The runs by pair and method, for whoever asks of many cells; none of one that has none."""

    def __init__(self, results: pd.DataFrame) -> None:
        super().__init__(iter(results.groupby(["pair", "method"], sort=False)))
        self.none = results.iloc[:0]

    def __missing__(self, cell: tuple[str, str]) -> pd.DataFrame:
        return self.none


def cell_runs(results: pd.DataFrame | Cells, pair: str, method: str) -> pd.DataFrame:
    """The runs of one cell: those labelled with this pair and method, and of no other protocol.

    ``teacher`` takes the runs of the pair's teacher, whose pair is the network alone. A baseline
    that serves several pairs, or that is a teacher elsewhere, has a row for each in ``results``.
    """
    cell = pair.partition(":")[0] if method == "teacher" else pair
    if isinstance(results, Cells):
        return results[cell, method]
    return results[(results["pair"] == cell) & (results["method"] == method)]


def comparison_table(
    results: pd.DataFrame,
    published: pd.DataFrame,
    *,
    pairs: Sequence[str],
    methods: Sequence[str],
    dataset: str = "cifar100",
    comparable: bool = True,
) -> pd.DataFrame:
    """Ours beside the published value, one row a (pair, method); a missing cell stays, with NaN.

    ``comparable``: whether ours follow the published protocol (profile paper); where they do not,
    the published value stands beside ours without difference and verdict.

    ``metric`` says which accuracy of ours is compared: ``top1_best`` if the published row reports
    the best epoch, ``top1_last`` if it reports the last one, does not say, or does not exist.
    ``published_others`` counts the rows that were not chosen. ``difference`` is ours - published,
    ``reproduced`` its verdict (F5), ``smallest_margin`` the least at which it would count so.
    ``place``: "best" and "second" of a pair where the 95 % interval (F1, ``PRIMARY``) to the
    next one lies above 0.
    """
    own = results[results["dataset"] == dataset]
    cells, known = Cells(own), by_cell(published)  # masks of the whole for each take ten times that
    table = pd.DataFrame(
        [_row(cells, known, pair, method, dataset) for pair in pairs for method in methods]
    )
    places = {pair: _places(own, pair, methods) for pair in pairs}
    table["place"] = [places[row["pair"]].get(row["method"], "") for row in _rows(table)]
    if not comparable:
        return table.assign(difference=math.nan, reproduced="", smallest_margin=math.nan)
    found = [_against_published(cells, row, pooled_std(table["std"])) for row in _rows(table)]
    table["reproduced"] = [
        "" if one is None else one.verdict(published_margin(row["published_n"]))
        for one, row in zip(found, _rows(table), strict=True)
    ]
    table["smallest_margin"] = [math.nan if one is None else one.smallest_margin for one in found]
    return table


def _rows(table: pd.DataFrame) -> list[dict[Any, Any]]:
    return table.to_dict("records")


def _places(results: pd.DataFrame, pair: str, methods: Sequence[str]) -> dict[str, str]:
    """The best and the second method of a pair, each only where it is surely above the next."""
    runs = results[(results["pair"] == pair) & results["method"].isin([*methods])]
    students = runs[runs["method"] != "teacher"].drop_duplicates(["key", "method"])
    trials = students.pivot_table(index="trial", columns="method", values=PRIMARY)
    return standing(trials)


def _against_published(
    results: Cells, row: dict[Any, Any], std: float
) -> PublishedDifference | None:
    """None without both values. A source that does not say its epoch must agree with both of ours.

    One trial a cell has no spread: its ``std`` is NaN, and so is the interval.
    """
    if not row["n"] or math.isnan(row["published_top1"]):
        return None
    metrics = (
        ("top1_last", "top1_best") if row["published_epoch"] == "unknown" else (row["metric"],)
    )
    runs = cell_runs(results, row["pair"], row["method"]).drop_duplicates("key")
    found = [
        published_difference(
            float(runs[metric].mean()),
            row["published_top1"],
            std=std,
            trials=row["n"],
            published_std=row["published_std"],
            published_runs=row["published_n"],
        )
        for metric in metrics
    ]
    return found[0] if len(found) == 1 else hull(*found)


def _row(
    results: Cells, published: PublishedCells, pair: str, method: str, dataset: str
) -> dict[str, Any]:
    rows = published_for(published, pair, method, dataset=dataset)
    chosen = rows.iloc[0] if len(rows) else NOT_PUBLISHED
    metric = METRIC_OF_EPOCH.get(chosen["epoch_reported"], "top1_last")
    ours = _cell_numbers(cell_runs(results, pair, method), metric)
    runs = {name: ours.pop(name) for name in ("run_ids", "keys")}
    return {
        **{"pair": pair, "method": method, "metric": metric, **ours},
        "published_top1": chosen["top1"],
        "published_std": chosen["std"],
        "published_n": chosen["n_runs"],
        "published_epoch": chosen["epoch_reported"],
        "published_source": chosen["source"],
        "published_place": chosen["place"],
        "published_others": max(len(rows) - 1, 0),
        "difference": ours["mean"] - chosen["top1"],
        **runs,
    }


def by_teacher(results: pd.DataFrame, student: str, metric: str = "top1_last") -> pd.DataFrame:
    """One student under several teachers: teacher, method, teacher_top1, mean, std, n, ci95, ...

    ``teacher_top1`` is ``TAUGHT`` of the teacher's trial 0, the one that the students learned from;
    NaN if that run is not among ``results``.
    """
    distilled = results[
        (results["student"] == student) & ~results["method"].isin(["teacher", "ce"])
    ]
    table = summarise(distilled, metric)
    teachers = [pair.partition(":")[0] for pair in table["pair"]]
    table.insert(0, "teacher", teachers)
    table.insert(1, "teacher_top1", [_teacher_top1(results, name) for name in teachers])
    return table


def _teacher_top1(results: pd.DataFrame, network: str) -> float:
    runs = cell_runs(results, network, "teacher")
    first = runs[runs["trial"] == 0]
    return float(first[TAUGHT].iloc[0]) if len(first) else math.nan
