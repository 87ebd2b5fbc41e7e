"""The notes above experiments: written with the first run, kept with every result."""

import json
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Experiment

from repro import notes
from repro.records import Records
from repro.tracking import Mirror, experiment_of, tracking_uri, write_note, write_summary
from tests.tracking.mirror import record_of
from tests.tracking.test_summary import TABLE


def experiment(runs_dir: Path, name: str = "digits demo") -> Experiment:
    return MlflowClient(tracking_uri(runs_dir)).get_experiment_by_name(name)


def test_the_first_run_of_an_experiment_brings_its_note(records: Records) -> None:
    Mirror(records.runs_dir).update(record_of(records))
    tags = experiment(records.runs_dir).tags
    assert tags["mlflow.note.content"].startswith("Training runs, digits demo: ")
    for words in ("final/top1_best", "tags.method = 'cmkd'", "`<grid> summary`", "`family`"):
        assert words in tags["mlflow.note.content"]
    view = json.loads(tags["mlflow.sharedViewState.accuracy"])
    assert "metrics.`final/top1_last`" in view["selectedColumns"]
    assert experiment_of(record_of(records)) == "digits demo"


def test_an_experiment_without_a_note_gets_one_and_an_edited_one_is_mended(
    records: Records,
) -> None:
    Mirror(records.runs_dir).update(record_of(records))
    client, found = MlflowClient(tracking_uri(records.runs_dir)), experiment(records.runs_dir)
    client.set_experiment_tag(found.experiment_id, "mlflow.note.content", "mine")
    write_note(records.runs_dir, "digits demo")
    text = experiment(records.runs_dir).tags["mlflow.note.content"]
    assert text.startswith("Training runs")
    assert f"(#/experiments/{found.experiment_id}/runs?workflowType=machine_learning&" in text


def test_a_note_that_is_equal_is_not_written(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_summary(runs_dir, "demo", TABLE)
    write_note(runs_dir, "demo summary", "Profile demo", "a table")
    written: list[str] = []
    set_tag = MlflowClient.set_experiment_tag

    def watched(*given: Any) -> None:
        written.append(given[2])
        set_tag(*given)

    monkeypatch.setattr(MlflowClient, "set_experiment_tag", watched)
    write_note(runs_dir, "demo summary", "Profile demo", "a table")
    write_note(runs_dir, "demo summary")
    assert written == []
    write_note(runs_dir, "demo summary", "Profile demo", "another table")
    assert written == ["mlflow.note.content"]


def test_no_experiment_is_made_for_a_note(runs_dir: Path) -> None:
    write_note(runs_dir, "cifar100 paper")
    assert experiment(runs_dir, "cifar100 paper") is None


def test_results_of_other_grids_stay() -> None:
    blank = notes.training("digits demo")[notes.NOTE]
    first = notes.with_section(blank, "", "Grid demo", "| a |")
    second = notes.with_section(blank, first, "Grid ablation", "| b |\n\n### Claims\n\nnone")
    third = notes.with_section(blank, second, "Grid demo", "| c |")
    assert notes.results_of(third) == {
        "Grid demo": "| c |",
        "Grid ablation": "| b |\n\n### Claims\n\nnone",
    }
    assert third.index("Grid ablation") < third.index("Grid demo") < third.index("How to read it")
    assert notes.with_section(blank, third) == third
    assert notes.results_of("what somebody wrote\n# Title\ntext") == {}


def test_what_is_too_long_for_a_note_is_cut() -> None:
    blank = notes.summary("cifar")[notes.NOTE]
    short = notes.with_section(blank, "", "Profile quick", "| a |")
    long = notes.with_section(blank, short, "Profile paper", "x" * notes.CHARACTERS)
    assert len(long) < notes.CHARACTERS
    assert notes.results_of(long) == {"Profile quick": "| a |", "Profile paper": notes.TOO_LONG}
    for _ in range(3):
        more = notes.with_section(blank, long, f"Profile {_}", "y" * 15_000)
        assert len(more) < notes.CHARACTERS


def test_accuracies_are_a_table_of_methods_by_pairs() -> None:
    nan = float("nan")
    rows = [
        {"pair": "a:b", "method": "kd", "mean": 70.126, "std": 0.25, "n": 3},
        {"pair": "c:d", "method": "kd", "mean": 71.0, "std": nan, "n": 1},
        {"pair": "c:d", "method": "dkd", "mean": 72.0, "std": 0.1, "n": 2},
    ]
    assert notes.accuracy(rows).splitlines() == [
        "| top-1 (%) | a:b | c:d |",
        "| --- | --- | --- |",
        "| kd | 70.13 ± 0.25 (3) | 71.00 (1) |",
        "| dkd | - | 72.00 ± 0.10 (2) |",
    ]
    assert notes.markdown(["a|b"], [["c"]]).splitlines()[0] == "| a\\|b |"
