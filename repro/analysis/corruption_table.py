"""Accuracy on corrupted and attacked images by pair and method: claim C7's table."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from repro.analysis.corruption import CLEAN, CORRUPTIONS, mean_corrupted
from repro.analysis.formats import table_files
from repro.analysis.standing import judged_rows, less_reference, reversed_family, standing
from repro.analysis.tables import MISSING, Places, difference_words, p_words, spread_words
from repro.paper import EFFECTS

REFERENCE, EFFECT = "cmkd", EFFECTS["C7"].value
CELL = ["pair", "method", "trial"]
DECIDES = "corrupted"  # the outcome that the verdict is of
NUMBERS = ("difference", "low95", "high95", "paired_trials")
LOWER = ("drop",)  # where less is better


def outcomes(corrupted: pd.DataFrame, attacked: pd.DataFrame) -> pd.DataFrame:
    """A row a (pair, method, trial), in percent: ``clean``, ``corrupted`` (the mean over types and
    severities), ``drop``, each corruption's mean over severities, and ``pgd 1/255`` and so on.

    ``corrupted``, ``attacked``: as from ``measured.corruption_of`` and ``attack_of``.
    """
    found = mean_corrupted(corrupted, CELL).set_index(CELL)
    types = corrupted[corrupted["corruption"] != CLEAN[0]]
    each = types.pivot_table(index=CELL, columns="corruption", values="top1", aggfunc="mean")
    hit = attacked[attacked["radius"] > 0]
    pgd = hit.pivot_table(index=CELL, columns="radius", values="top1", aggfunc="mean")
    pgd.columns = [f"pgd {radius:g}/255" for radius in pgd.columns]
    return found.join(each[list(CORRUPTIONS)]).join(pgd).reset_index()


def corruption_table(found: pd.DataFrame) -> pd.DataFrame:
    """From ``outcomes``: a row a (pair, method, outcome) with mean, std, n and place.

    For the outcome ``corrupted`` also CMKD less the method, paired by trial (F1), with its verdict
    after Holm over the pair's other students.
    """
    names = [name for name in found if name not in CELL]
    rows: list[dict[str, Any]] = []
    for pair in dict.fromkeys(name for name in found["pair"] if ":" in name):
        own = found[found["pair"] == pair]
        for outcome in names:
            trials = own.pivot(index="trial", columns="method", values=outcome)
            trials = trials[list(dict.fromkeys(own["method"]))]
            rows += _rows(pair, outcome, trials, _teacher(found, pair, outcome))
    return pd.DataFrame(rows)


def _teacher(found: pd.DataFrame, pair: str, outcome: str) -> pd.Series:
    own = (found["method"] == "teacher") & (found["pair"] == pair.partition(":")[0])
    return found.loc[own, outcome]


def _rows(
    pair: str, outcome: str, trials: pd.DataFrame, teacher: pd.Series
) -> list[dict[str, Any]]:
    places = standing(trials, lower=outcome in LOWER)
    methods = list(trials.columns)
    judged: Mapping[str, dict[str, Any]] = {}
    if outcome == DECIDES:
        family = reversed_family(less_reference(trials, methods, REFERENCE))
        judged = judged_rows(family, EFFECT)
    columns = {"teacher": teacher} if len(teacher) else {}
    return [
        {"pair": pair, "method": method, "outcome": outcome}
        | _mean(values.dropna())
        | {"place": places.get(method, "")}
        | judged.get(method, {})
        for method, values in (columns | dict(trials.items())).items()
    ]


def _mean(values: pd.Series) -> dict[str, float]:
    return {"mean": values.mean(), "std": values.std(ddof=1), "n": len(values)}


def legend(images: int, attacked: int) -> tuple[str, ...]:
    """How to read a cell, and what was measured."""
    return (
        f"Cells: mean ± std (trials) of top-1 (%) on the same {images} test images; drop: clean "
        f"less corrupted (points). Corrupted: mean over {len(CORRUPTIONS)} corruptions at five "
        f"strengths each. PGD: on {attacked} of them, radius in L-infinity. Bold: the best of a "
        "pair, underlined: the second, where the 95 % interval to the next one (paired, F1) lies "
        "above 0.",
        f"{REFERENCE} less it: of the corrupted mean, paired by trial, 95 % interval (F1), verdict "
        f"with D = {EFFECT:g} points after Holm over the pair's other students (p in brackets). "
        "Supported: surely above 0; refuted: surely below D.",
    )


def corruption_files(
    table: pd.DataFrame, title: str, marks: Sequence[str], notes: Sequence[str]
) -> dict[str, str]:
    """A ``corruption_table`` by file suffix; ``notes``: its ``legend``."""
    cells, places = shown(table)
    return table_files(cells, table, title, lines=(*marks, *notes), places=places)


def shown(table: pd.DataFrame) -> tuple[pd.DataFrame, Places]:
    """A row a (pair, method), a column an outcome; places by (row, column)."""
    outcomes = list(dict.fromkeys(table["outcome"]))
    rows: list[dict[str, Any]] = []
    places: dict[tuple[int, int], str] = {}
    cells = table.groupby(["pair", "method"], sort=False)
    for i, ((pair, method), own) in enumerate(cells):
        by_name = {row["outcome"]: row for row in own.to_dict("records")}
        words = [spread_words(row["mean"], row["std"], row["n"]) for row in by_name.values()]
        rows.append(
            {"pair": pair, "method": method}
            | dict(zip(by_name, words, strict=True))
            | _verdict(by_name[DECIDES])
        )
        places |= {
            (i, 2 + outcomes.index(name)): row["place"]
            for name, row in by_name.items()
            if row["place"]
        }
    return pd.DataFrame(rows), places


def _verdict(row: dict[Any, Any]) -> dict[str, str]:
    known = isinstance(row["verdict"], str)
    words = difference_words(*(row[name] for name in NUMBERS)) if known else MISSING
    verdict = f"{row['verdict']} ({p_words(row['p_holm'])})" if known else MISSING
    return {f"{REFERENCE} less it": words, "verdict (p)": verdict}
