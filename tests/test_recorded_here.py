"""The recorded results that this repository carries."""

import json

import pytest

from repro import readme, recorded
from repro.entries import final_metrics
from repro.records import Record, Records
from repro.spec import key

NAMES = ["cifar-quick.tar.xz", "demo-demo.tar.xz"]


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
    runs_dir = tmp_path_factory.mktemp("browse") / "runs"
    recorded.fill(runs_dir)
    return list(Records(runs_dir))


def test_demo_and_quick_results_are_there_within_ten_megabytes() -> None:
    found = recorded.archives()
    assert {*NAMES} <= {path.name for path in found}
    assert sum(path.stat().st_size for path in found) <= recorded.MOST_BYTES


def test_their_runs_are_finished_and_say_what_their_epochs_say(records: list[Record]) -> None:
    assert len(records) >= 26 + 47  # the quick pairs share five baselines
    for record in records:
        run, status, history = record.run(), record.status(), record.history()
        assert key(run) == record.key
        assert status
        assert status.state == "FINISHED"
        assert [entry["epoch"] for entry in history] == list(range(run.stream.epochs))
        assert dict(status.final) == pytest.approx(dict(final_metrics(history)))


def test_what_claims_and_figures_measure_is_recorded_of_every_run(records: list[Record]) -> None:
    wanted = {"planes", "corruption", "attack"}
    for record in records:
        folder = record.directory.parents[1] / "measured" / record.key
        names = {path.name.partition("-")[0] for path in folder.iterdir()}
        assert names >= wanted | ({"ranks", "relations"} if record.run().teacher else set())


def test_they_say_nothing_of_places(records: list[Record]) -> None:
    for record in records:
        texts = record.directory.glob("*.json*")
        assert not [path for path in texts if '"/' in path.read_text()]
        assert "host" not in json.loads((record.directory / "environment.json").read_text())


def test_the_readme_s_results_are_those_of_the_recorded_runs(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    text = readme.README.read_text()
    shown = text.partition(f"{readme.BEGIN}\n")[2].partition(f"\n{readme.END}")[0]
    assert shown == readme.section(tmp_path_factory.mktemp("results") / "runs")
