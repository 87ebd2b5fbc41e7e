"""The recorded results that this repository carries."""

import json
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pytest
import torch

from repro import readme, recorded
from repro.entries import final_metrics
from repro.environment import ROOT
from repro.grid import DEFAULT_METHODS
from repro.records import Record, Records
from repro.spec import key
from repro.train.weights import load_half
from repro.variants import CANDIDATES_OF, TUNED, TUNING_TRIALS, candidates

NAMES = ["cifar-same-quick.tar.xz", "demo-demo.tar.xz"]  # whole, others by their accuracy
PAIR = "cifar-different-quick.tar.xz"  # whole but for methods beside the grid's own


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
    # demo, cifar-same, what is new under others, tuning, and of tuned, ablation, plug-in, the pair
    assert len(records) >= 26 + 26 + 42 + 37 + 15 + 115 + 100 + 21 + 35
    for record in records:
        run, status, history = record.run(), record.status(), record.history()
        assert key(run) == record.key
        assert status
        assert status.state == "FINISHED"
        assert [entry["epoch"] for entry in history] == list(range(run.stream.epochs))
        assert dict(status.final) == pytest.approx(dict(final_metrics(history)))


def test_what_claims_and_figures_measure_is_recorded_of_every_run(records: list[Record]) -> None:
    """Of grids that are not recorded by their accuracy alone."""
    wanted = {"planes", "corruption", "attack"}
    whole = {k for name in NAMES for k in recorded.keys_in(recorded.FOLDER / name)}
    own = ("teacher", *DEFAULT_METHODS)
    pair = recorded.keys_in(recorded.FOLDER / PAIR)
    whole |= {record.key for record in records if record.key in pair and record.run().method in own}
    assert len(whole) >= 26 + 26 + 21
    for record in (record for record in records if record.key in whole):
        folder = record.directory.parents[1] / "measured" / record.key
        names = {path.name.partition("-")[0] for path in folder.iterdir()}
        assert names >= wanted | ({"ranks", "relations"} if record.run().teacher else set())


def test_they_say_nothing_of_places(records: list[Record]) -> None:
    for record in records:
        texts = record.directory.glob("*.json*")
        assert not [path for path in texts if '"/' in path.read_text()]
        assert "host" not in json.loads((record.directory / "environment.json").read_text())


def test_the_readme_s_results_are_those_of_the_recorded_runs(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = readme.README.read_text()
    shown = text.partition(f"{readme.BEGIN}\n")[2].partition(f"\n{readme.END}")[0]
    drawn = tmp_path / "drawn"
    assert shown == readme.section(tmp_path_factory.mktemp("results") / "runs", drawn)
    names = [path.name for path in sorted(drawn.iterdir())]
    assert names
    assert names == [path.name for path in sorted(readme.DRAWN.iterdir())]
    assert all(f"]({readme.DRAWN.relative_to(ROOT)}/{name})" in shown for name in names)


def test_what_is_tuned_is_best_on_the_held_out_images(records: list[Record]) -> None:
    tops: dict[str, list[float]] = defaultdict(list)
    for run, record in ((record.run(), record) for record in records):
        status = record.status()
        if run.teacher and run.stream.split == "tune" and status:
            tops[run.method].append(dict(status.final)["final/top1_last10"])
    assert {len(found) for found in tops.values()} == {TUNING_TRIALS}
    assert tops.keys() == candidates().keys()
    best = [
        max((row for row in tops if row.startswith(f"{method}/")), key=lambda row: fmean(tops[row]))
        for method in CANDIDATES_OF
    ]
    assert tuple(best) == TUNED["quick"]


def test_the_weights_of_one_small_pair_are_there_and_of_every_teacher(
    records: list[Record],
) -> None:
    """A teacher's network, and a student of each method, answer as when they were trained."""
    with_weights = [record for record in records if record.weights.exists()]
    runs = [record.run() for record in with_weights if record.run().stream.split == "full"]
    quick = [run for run in runs if run.stream.dataset == "cifar100"]
    assert {run.network for run in quick if run.method == "teacher"} == {
        *("resnet14", "resnet20", "resnet32", "wrn_16_1"),
    }
    assert {run.method for run in quick if run.teacher} == {*DEFAULT_METHODS}
    for run, record in ((record.run(), record) for record in with_weights):
        assert load_half(run, record.weights, torch.device("cpu"))
    assert sum(p.stat().st_size for p in recorded.weight_archives()) <= recorded.MOST_WEIGHTS
