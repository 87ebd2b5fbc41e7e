"""What MLflow shows of a grid beside its runs: cells, claims, notes, files, teachers as models."""

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from repro import notes, view
from repro.analysis.accuracy import comparison_table
from repro.analysis.claim_table import carried_words
from repro.analysis.claims import judge
from repro.analysis.evidence import Evidence
from repro.analysis.judged import Judged
from repro.analysis.published import load_published
from repro.analysis.verdict import Verdict
from repro.environment import ROOT
from repro.records import Records
from repro.results import GridResults
from repro.tracking import Entry, write_entries, write_note, write_outputs, write_summary

ALL = "all grids"  # whose summary holds what several grids say together


def publish(results: GridResults, written: Sequence[Path]) -> list[str]:
    """The cells of a grid, its claims, notes, the tables that were ``written``, and the teachers as
    models. What is equal is left alone. Returns a line for each new model."""
    publish_files((results,), "tables", written)
    publish_claims((results,), judge(Evidence((results,))))
    return register(results.runs_dir)


def publish_claims(grids: Sequence[GridResults], claims: Sequence[Judged]) -> None:
    """A run a claim and, of one grid, a run a cell; the notes."""
    runs_dir, grid, profile = grids[0].runs_dir, grid_of(grids), grids[0].profile.name
    entries = [claim_entry(judged) for judged in claims]
    write_entries(runs_dir, grid, "claim", profile=profile, entries=entries)
    accuracies = ""
    if len(grids) == 1:  # after the claims: the UI draws the ten newest
        table = summary(grids[0])
        write_summary(runs_dir, grid, table)
        accuracies = note_of_runs(grids[0], table)
    body = f"{accuracies}\n\n### Claims\n\n{claim_lines(claims)}"
    write_note(runs_dir, f"{grid} summary", f"Profile {profile}", body)


def note_of_runs(results: GridResults, table: pd.DataFrame) -> str:
    """The accuracies as Markdown; they are put above the runs that they are the means of."""
    marks = "".join(f"- {mark}\n" for mark in results.marks)
    body = f"{marks}\n{notes.accuracy(table.to_dict('records'))}"
    more = f"Intervals, claims, tables, figures: experiment *{results.grid} summary*."
    for name in sorted(experiments_of(results)):
        write_note(results.runs_dir, name, f"Grid {results.grid}", f"{body}\n\n{more}")
    return body


def summary(results: GridResults) -> pd.DataFrame:
    """One row a cell: mean, std, n, 95 % half-width, published value and, where ours follow its
    protocol, the difference."""
    published = load_published(ROOT / "paper_tables" / "published.csv")
    dataset = results.profile.stream.dataset
    tables = [
        comparison_table(
            results.table,
            published,
            pairs=pairs,
            methods=results.methods(part),
            dataset=dataset,
            comparable=results.profile.comparable,
        )
        for part, pairs in results.parts.items()
    ]
    table = pd.concat(tables)
    columns = ["pair", "method", "metric", "mean", "std", "n", "ci95"]
    finished = table[table["n"] > 0].drop_duplicates(["pair", "method"])
    shown = finished[[*columns, "published_top1", "difference"]]
    return shown.assign(profile=results.profile.name)


def grid_of(grids: Sequence[GridResults]) -> str:
    """Whose summary experiment shows what these say together."""
    return grids[0].grid if len(grids) == 1 else ALL


def claim_entry(judged: Judged) -> Entry:
    """A claim's headline under ``claim/``, both scopes under ``claim/these/``, ``claim/general/``;
    their verdicts as tags."""
    found, scope = judged.headline
    estimate = found.estimate
    tags = {
        "claim": judged.claim.name,
        "text": judged.claim.text,
        "verdict": found.label,
        "verdict_these": judged.these.label,
        "verdict_general": judged.general.label,
        "detail": found.detail,
        "scope": scope if found.label != "not run" else "",
        "estimand": judged.estimand,
        "estimate_of": found.of,
        "rule": estimate.formula if estimate.is_run else "",
        "grids": ", ".join(judged.grids),
        "missing": judged.missing,
    }
    metrics = {
        **_metrics("claim", found),
        **_metrics("claim/these", judged.these),
        **_metrics("claim/general", judged.general),
        "claim/effect": judged.effect.value,
    }
    return Entry(judged.claim.name, tags, view.finite(metrics))


def _metrics(prefix: str, found: Verdict) -> dict[str, float]:
    """Of one scope; ``k``: the size of the family that Holm's p is of."""
    estimate, counts = found.estimate, found.estimate.counts
    numbers = {
        "estimate": estimate.estimate,
        "low": estimate.low,
        "high": estimate.high,
        "df": estimate.df,
        "tau": estimate.tau,
        "p": found.adjusted.p,
        "p_holm": found.adjusted.p_holm,
        "k": found.adjusted.size,
        "n_pairs": counts.pairs,
        "n_students": counts.students,
        "n_trials": counts.trials,
        "n_runs": counts.runs,
    }
    return {f"{prefix}/{name}": float(value) for name, value in numbers.items()}


def publish_files(grids: Sequence[GridResults], folder: str, paths: Sequence[Path]) -> None:
    """Files as artifacts of the run ``tables and figures``, in a folder of it."""
    profile = grids[0].profile.name
    write_outputs(grids[0].runs_dir, grid_of(grids), profile=profile, folder=folder, paths=paths)


def experiments_of(results: GridResults) -> set[str]:
    rows = results.table[["dataset", "profile"]].to_dict("records")
    return {view.experiment_name({str(n): v for n, v in row.items()}) for row in rows}


def claim_lines(claims: Sequence[Judged]) -> str:
    """A table of the claims with their verdicts."""
    rows = []
    for judged in claims:
        found, scope = judged.headline
        known = not math.isnan(found.estimate.estimate)
        numbers = f"{carried_words(found)} ({scope})" if known else "-"
        name = f"{judged.claim.name} {judged.claim.text}"
        rows.append([name, f"**{found.words}**", numbers, judged.missing or "-"])
    return notes.markdown(["claim", "verdict", "estimate [95 %]", "what would decide it"], rows)


def register(runs_dir: Path) -> list[str]:
    """Finished teachers as registered models, those that are none yet: a line each."""
    from repro.tracking.registry import register_teachers  # a second of imports

    return list(register_teachers(Records(runs_dir), runs_dir))
