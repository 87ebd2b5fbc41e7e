"""The summary of a grid: a run a cell and a run a claim, written once and healed."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from repro.errors import UserError
from repro.tracking import (
    Entry,
    load_results,
    tracking_uri,
    write_entries,
    write_outputs,
    write_summary,
)

CELL = {"pair": "a:b", "profile": "demo", "published": float("nan")}
TABLE = pd.DataFrame(
    [CELL | {"method": "kd", "mean": 70.0, "n": 2}, CELL | {"method": "kd+ls", "mean": 71.5}]
)
CLAIMS = [
    Entry("C1", {"claim": "C1", "verdict": "supported", "missing": ""}, {"claim/estimate": 0.5}),
    Entry("C2", {"claim": "C2", "verdict": "not run"}, {}),
]


def runs(runs_dir: Path, filter_string: str = "") -> list[Run]:
    client = MlflowClient(tracking_uri(runs_dir))
    experiment = client.get_experiment_by_name("demo summary")
    return list(client.search_runs([experiment.experiment_id], filter_string))


def write_claims(runs_dir: Path, claims: list[Entry]) -> None:
    write_entries(runs_dir, "demo", "claim", profile="demo", entries=claims)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the runs that are made."""
    found: list[str] = []
    create_run = MlflowClient.create_run

    def watched(*given: Any, **named: Any) -> Any:
        found.append(named["run_name"])
        return create_run(*given, **named)

    monkeypatch.setattr(MlflowClient, "create_run", watched)
    return found


def test_a_summary_is_rewritten_in_place(runs_dir: Path) -> None:
    write_summary(runs_dir, "demo", TABLE)
    write_summary(runs_dir, "demo", TABLE.assign(mean=[72.25, 71.5]))
    found = runs(runs_dir)
    shown = {run.data.tags["method"]: run for run in found}
    assert len(found) == len(shown) == 2
    assert shown["kd"].data.metrics == {"mean": 72.25, "n": 2.0}
    assert shown["kd+ls"].data.metrics == {"mean": 71.5}
    assert {run.info.status for run in found} == {"FINISHED"}
    assert {run.info.run_name for run in found} == {"a:b kd", "a:b kd+ls"}
    assert shown["kd"].data.tags["mlflow.runColor"] == "#0072b2"
    assert len(load_results(runs_dir)) == 0


def test_what_is_the_same_is_left_alone(runs_dir: Path, made: list[str]) -> None:
    table = pd.DataFrame([CELL | {"method": m, "mean": 70.1} for m in ("kd", "dkd", "cmkd")])
    write_summary(runs_dir, "demo", table)
    write_claims(runs_dir, CLAIMS)
    made.clear()
    write_summary(runs_dir, "demo", table)
    write_claims(runs_dir, CLAIMS)
    assert made == []
    write_summary(runs_dir, "demo", table.assign(mean=[70.1, 70.2, 70.1])[:2])
    write_claims(runs_dir, [CLAIMS[0], CLAIMS[1]._replace(tags={"verdict": "refuted"})])
    assert made == ["a:b dkd", "C2"]
    cells = runs(runs_dir, "tags.kind = 'cell'")
    assert {run.data.tags["method"]: run.data.metrics["mean"] for run in cells} == {
        "kd": 70.1,
        "dkd": 70.2,
    }
    claims = runs(runs_dir, "tags.kind = 'claim'")
    assert {run.info.run_name: run.data.tags["verdict"] for run in claims} == {
        "C1": "supported",
        "C2": "refuted",
    }


def test_kinds_and_profiles_do_not_touch_each_other(
    runs_dir: Path, tmp_path: Path, made: list[str]
) -> None:
    file = tmp_path / "accuracy.md"
    file.write_text("table")
    write_summary(runs_dir, "demo", TABLE)
    write_claims(runs_dir, CLAIMS)
    write_outputs(runs_dir, "demo", profile="demo", folder="tables", paths=[file])
    write_summary(runs_dir, "demo", TABLE.assign(profile="quick"))
    assert len(made) == len(runs(runs_dir)) == 7
    write_summary(runs_dir, "demo", TABLE[:0].assign(profile=[]))
    write_claims(runs_dir, [])
    assert len(runs(runs_dir)) == 5
    assert len(runs(runs_dir, "tags.profile = 'quick'")) == 2
    assert len(load_results(runs_dir)) == 0


def test_cells_of_an_earlier_version_are_replaced(runs_dir: Path) -> None:
    write_summary(runs_dir, "demo", TABLE)
    client = MlflowClient(tracking_uri(runs_dir))
    for run in runs(runs_dir):
        client.delete_tag(run.info.run_id, "kind")
    write_summary(runs_dir, "demo", TABLE)
    assert len(runs(runs_dir)) == len(runs(runs_dir, "tags.kind = 'cell'")) == 2


def test_a_note_that_a_reader_adds_stays(runs_dir: Path, made: list[str]) -> None:
    write_summary(runs_dir, "demo", TABLE)
    client = MlflowClient(tracking_uri(runs_dir))
    for run in runs(runs_dir):
        client.set_tag(run.info.run_id, "mlflow.note.content", "look at this")
    made.clear()
    write_summary(runs_dir, "demo", TABLE)
    assert made == []


@pytest.mark.parametrize("call", ["create_run", "log_batch", "set_terminated", "delete_run"])
def test_what_fails_in_the_middle_is_healed_by_the_next(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    write_claims(runs_dir, [claim._replace(metrics={"old": 1.0}) for claim in CLAIMS])
    left = [1]
    whole = getattr(MlflowClient, call)

    def failing(*given: Any, **named: Any) -> Any:
        if not left:
            raise MlflowException("gone")
        left.pop()
        return whole(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, failing)
        with pytest.raises(UserError, match="nothing is lost"):
            write_claims(runs_dir, CLAIMS)
    write_claims(runs_dir, CLAIMS)
    found = {run.info.run_name: run for run in runs(runs_dir)}
    assert found.keys() == {"C1", "C2"}
    assert len(runs(runs_dir)) == 2
    assert found["C1"].data.metrics == {"claim/estimate": 0.5}
    assert {run.info.status for run in found.values()} == {"FINISHED"}


def test_longer_words_than_mlflow_takes_are_found_equal(runs_dir: Path, made: list[str]) -> None:
    long = [CLAIMS[0]._replace(tags={"missing": "x" * 9000})]
    write_claims(runs_dir, long)
    write_claims(runs_dir, long)
    assert made == ["C1"]


@pytest.mark.usefixtures("server")
def test_a_summary_through_a_server(runs_dir: Path, made: list[str]) -> None:
    for _ in range(2):
        write_summary(runs_dir, "demo", TABLE)
        write_claims(runs_dir, CLAIMS)
    assert sorted(made) == ["C1", "C2", "a:b kd", "a:b kd+ls"]
