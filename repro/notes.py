"""What MLflow shows above the runs of an experiment: a note, and views with chosen columns. Pure.

A note is Markdown: a first line that the UI shows unasked, sections of results (``## Grid demo``),
and how to read it. The rest opens with a click on the arrow beside it.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

NOTE, VIEW = "mlflow.note.content", "mlflow.sharedViewState."
CHARACTERS = 19_999  # of a note: MLflow takes no longer ones
HOW = "## How to read it"
TOO_LONG = "(too long for a note: see the artifacts of the run *tables and figures*)"

TRAINING_VIEWS = {
    "accuracy": {
        "selectedColumns": [
            *(f"tags.`{name}`" for name in ("pair", "method", "trial")),
            *(f"metrics.`final/top1_{name}`" for name in ("last", "best", "last10")),
        ],
        "orderByKey": "metrics.`final/top1_last`",
        "orderByAsc": False,
    },
}
SUMMARY_VIEWS = {
    "cells": {
        "searchFilter": "tags.kind = 'cell'",
        "selectedColumns": [
            *(f"tags.`{name}`" for name in ("profile", "pair", "method")),
            *(f"metrics.`{n}`" for n in ("mean", "std", "ci95", "n", "published_top1")),
        ],
        "orderByKey": "metrics.`mean`",
        "orderByAsc": False,
    },
    "claims": {
        "searchFilter": "tags.kind = 'claim'",
        "selectedColumns": [
            *(f"tags.`{name}`" for name in ("verdict", "scope", "text", "missing")),
            *(f"metrics.`claim/{n}`" for n in ("estimate", "low", "high", "effect")),
        ],
        "orderByKey": "tags.`mlflow.runName`",
        "orderByAsc": True,
    },
}

TRAINING = """\
**Runs** are named `teacher:student method trial`. Tags: `pair`, `teacher`, `student`, `method`,
`family` (what the method matches), `trial`, `profile`, `grid` (that trained it first), `key` (its
record, `runs/records/<key>/`). Colours are those of the figures.

**Accuracy**, percent of the test images: `final/top1_last` is the last epoch's, of the stored
weights; `final/top1_best` the best epoch's, which the test set chose; `final/top1_last10` the mean
of the last ten epochs (of under 50 in all, of the last fifth), which the claims use. `test/top1`
has every epoch's, `train/top1` that of the augmented batches.

**Charts** stand in sections: `final/` a bar a run, `test/` and `train/` a curve a run (`train/kd`,
`train/pearson`, ...: the terms of the loss as they are weighted), `weight/` CMKD's dynamic weights.
The eye beside a run hides it.

**Filter** with `tags.method = 'cmkd'`, `tags.pair = 'resnet56:resnet20' and tags.trial = '0'`,
`metrics."final/top1_last" > 90`. *Group by* `pair` and `method` shows means over trials. Means with
their intervals, verdicts, tables and figures: experiment `<grid> summary`; teachers: *Model
registry*.
"""
SUMMARY = """\
**Cells** (`tags.kind = 'cell'`): a run a (pair, method) of a profile. `mean`, `std` and `ci95`
(95 % half-width) over `n` trials of test top-1 (%) of the last epoch, or of the best where the
published value beside it, `published_top1`, is of the best; `difference` is ours - published, under
profile paper alone.

**Claims** (`tags.kind = 'claim'`): a run a claim of the paper, by the finished runs of this grid.
`claim/estimate` with its 95 % interval `claim/low` to `claim/high`; tag `verdict` says supported,
refuted, inconclusive or not run, `missing` what would decide it. The same under `claim/these/` and
`claim/general/` on these pairs and in general, with df, tau, p, Holm's p of a family of k.

**Tables and figures** (`tags.kind = 'outputs'`): the artifacts of that run.
"""


def training(name: str, experiment: str = "") -> dict[str, str]:
    """The tags of a training experiment without results. ``experiment``: its id, for links."""
    first = (
        f"Training runs, {name}: a run a network, teacher or student, with its curves and final "
        "accuracies. Written by the suite: edits are replaced."
    )
    return _tags(first, TRAINING, TRAINING_VIEWS, experiment)


def summary(grid: str, experiment: str = "") -> dict[str, str]:
    """The tags of experiment ``<grid> summary`` without results."""
    first = (
        f"Results of {grid}: means over trials, verdicts on the paper's claims, tables, figures. "
        "Written by the suite: edits are replaced."
    )
    return _tags(first, SUMMARY, SUMMARY_VIEWS, experiment)


def _tags(first: str, how: str, views: Mapping[str, Any], experiment: str) -> dict[str, str]:
    links = [f"[{name}]({place(experiment, name)})" for name in views] if experiment else []
    chosen = f"**Views** with chosen columns: {', '.join(links)}.\n\n" if links else ""
    kept = {f"{VIEW}{name}": json.dumps(state) for name, state in views.items()}
    flowing = re.sub(r"(?<!\n)\n(?!\n)", " ", how)  # the UI would break lines where this file does
    return {NOTE: f"{first}\n\n{HOW}\n\n{chosen}{flowing}"} | kept


def place(experiment: str, view: str = "") -> str:
    """The part of an address that shows an experiment's runs; without the type it opens a page
    about traces."""
    shared = f"&viewStateShareKey={view}" if view else ""
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning{shared}"


def view_of(tags: Mapping[str, str]) -> str:
    """The first view that an experiment has; "" where it has none, or is another's."""
    known = (*TRAINING_VIEWS, *SUMMARY_VIEWS)
    return next((name for name in known if f"{VIEW}{name}" in tags), "")


def with_section(note: str, old: str, heading: str = "", body: str = "") -> str:
    """``note`` with the sections of results of ``old``, of which one is replaced or new.

    Where that is too long, the longest sections are cut to a line.
    """
    sections = results_of(old) | ({heading: body.strip()} if heading else {})
    text = _composed(note, sections)
    while len(text) > CHARACTERS and any(body != TOO_LONG for body in sections.values()):
        longest = max(sections, key=lambda name: len(sections[name].replace(TOO_LONG, "")))
        sections[longest] = TOO_LONG
        text = _composed(note, sections)
    return text


def results_of(note: str) -> dict[str, str]:
    """The sections of results by heading."""
    found = re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", note, re.MULTILINE)
    return {heading: body.strip() for heading, body in found if f"## {heading}" != HOW}


def _composed(note: str, sections: Mapping[str, str]) -> str:
    first, how = note.split(HOW)
    results = "".join(f"## {name}\n\n{sections[name]}\n\n" for name in sorted(sections))
    return f"{first}{results}{HOW}{how}"


def accuracy(rows: Iterable[Mapping[Any, Any]]) -> str:
    """Methods by pairs, ``mean ± std (n)``, of the rows of a summary."""
    rows = list(rows)
    cells = {(row["method"], row["pair"]): _cell(row) for row in rows}
    methods, pairs = (list(dict.fromkeys(row[name] for row in rows)) for name in ("method", "pair"))
    lines = [[m, *(cells.get((m, pair), "-") for pair in pairs)] for m in methods]
    return markdown(["top-1 (%)", *pairs], lines)


def _cell(row: Mapping[Any, Any]) -> str:
    spread = f" ± {row['std']:.2f}" if row["std"] == row["std"] else ""
    return f"{row['mean']:.2f}{spread} ({row['n']})"


def markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in r)} |" for r in rows)
