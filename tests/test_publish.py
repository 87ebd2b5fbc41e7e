"""What ``repro tables`` and ``repro claims`` leave in MLflow."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from repro.analysis.claims import judge
from repro.analysis.evidence import Evidence
from repro.grid import expand
from repro.profiles import PROFILES, Profile
from repro.publish import ALL, claim_entry, claim_lines, grid_of, publish, publish_claims, summary
from repro.results import GridResults
from repro.tracking import experiment_id, load_results, open_store, tracking_uri
from tests.analysis.made_up import demo, made_up
from tests.made_results import finished, results_of


@pytest.fixture
def results(runs_dir: Path) -> GridResults:
    runs = demo()
    rows = finished(*runs, grid="demo").assign(
        dataset="digits", profile="demo", top1_best=60.0, top1_last10=55.0
    )
    experiment_id(open_store(runs_dir), runs_dir, "digits demo")
    return replace(made_up(runs_dir, *runs), table=rows)


def runs(runs_dir: Path, name: str = "demo summary") -> dict[str, list[Run]]:
    """By kind."""
    client = MlflowClient(tracking_uri(runs_dir))
    found: dict[str, list[Run]] = {}
    for run in client.search_runs([client.get_experiment_by_name(name).experiment_id]):
        found.setdefault(run.data.tags["kind"], []).append(run)
    return found


def note(runs_dir: Path, name: str) -> str:
    client = MlflowClient(tracking_uri(runs_dir))
    return str(client.get_experiment_by_name(name).tags["mlflow.note.content"])


def test_a_grid_is_published_once(
    results: GridResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "accuracy.md"
    file.write_text("table")
    publish(results, [file])
    found = runs(results.runs_dir)
    cells = {(run.pair, run.method) for run in results.runs}
    assert {kind: len(of_kind) for kind, of_kind in found.items()} == {
        "cell": len(cells),
        "claim": 7,
        "outputs": 1,
    }
    assert {run.data.tags["grid"] for of_kind in found.values() for run in of_kind} == {"demo"}
    assert len(load_results(results.runs_dir)) == 0
    calls: list[str] = []
    for name in ("create_run", "delete_run", "log_batch", "log_artifact", "set_experiment_tag"):
        monkeypatch.setattr(MlflowClient, name, lambda *_, name=name, **__: calls.append(name))
    publish(results, [file])
    assert calls == []


def test_notes_hold_accuracies_and_verdicts(results: GridResults) -> None:
    publish(results, [])
    summary, training = (note(results.runs_dir, n) for n in ("demo summary", "digits demo"))
    for text, heading in ((summary, "## Profile demo"), (training, "## Grid demo")):
        assert heading in text
        assert results.marks[0] in text
        assert "| cmkd | " in text
    for number in range(1, 8):
        assert f"| C{number} " in summary
    assert "| **" in summary
    assert "experiment *demo summary*" in training


def test_claims_of_several_grids_have_a_summary_of_their_own(results: GridResults) -> None:
    grids = (results, replace(results, grid="ablation"))
    assert grid_of(grids) == ALL
    claims = judge(Evidence((results,)))
    publish_claims(grids, claims)
    found = runs(results.runs_dir, "all grids summary")
    assert {kind: len(of_kind) for kind, of_kind in found.items()} == {"claim": 7}
    assert "| C7 " in note(results.runs_dir, "all grids summary")


def test_a_claim_is_its_headline(results: GridResults) -> None:
    judged = next(one for one in judge(Evidence((results,))) if one.claim.name == "C4")
    entry: Any = claim_entry(judged)
    found, _ = judged.headline
    assert entry.name == entry.tags["claim"] == "C4"
    assert entry.tags["verdict"] == found.label
    assert entry.tags["text"] == judged.claim.text
    assert entry.tags["missing"] == judged.missing
    assert entry.metrics["claim/effect"] == judged.effect.value
    assert entry.metrics["claim/n_trials"] == found.estimate.counts.trials
    for name, scope in (("these", judged.these), ("general", judged.general)):
        logged = entry.metrics
        assert entry.tags[f"verdict_{name}"] == scope.label
        assert logged[f"claim/{name}/k"] == scope.adjusted.size
        assert logged.get(f"claim/{name}/df", 0) == np.nan_to_num(scope.estimate.df)
        assert logged.get(f"claim/{name}/tau", 0) == np.nan_to_num(scope.estimate.tau)
        assert logged.get(f"claim/{name}/low", 0) == np.nan_to_num(scope.estimate.low)
    known = {n: v for n, v in entry.metrics.items() if v == v}
    assert known == entry.metrics  # what is not known is left out
    (line,) = claim_lines([judged]).splitlines()[2:]
    assert line.startswith(f"| C4 {judged.claim.text} | **{found.words}** | ")


def made(profile: Profile) -> pd.DataFrame:
    return finished(*expand("cifar-same", profile)).assign(top1_best=60.0)


def test_only_the_papers_protocol_is_compared_with_published_values() -> None:
    same = PROFILES["paper"].pairs | {"cifar-same": (("resnet56", "resnet20"),)}
    paper, quick = (
        summary(results_of("cifar-same", profile, made(profile)))
        for profile in (replace(PROFILES[name], pairs=same) for name in ("paper", "quick"))
    )
    assert paper["difference"].notna().any()
    assert quick["published_top1"].notna().any()
    assert quick["difference"].isna().all()
