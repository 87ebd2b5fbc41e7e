"""Recorded results: small archives that show everything without images and networks."""

import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from figures import decision_regions, inter_class_correlation
from repro import filled, readme, recorded
from repro.analysis import measured
from repro.analysis.evidence import Evidence
from repro.analysis.measuring import measured_runs
from repro.data.dataset import Dataset
from repro.errors import NotRecorded, UserError
from repro.failures import failures
from repro.grid import Choice, expand
from repro.profiles import PROFILES
from repro.records import Record, Records, Status
from repro.spec import Run, key
from tests.analysis.made_up import MadeUp, demo, made_up

METHODS = ("ce", "kd")
FILES = ["demo-demo.tar.xz", "demo-demo.weights.tar"]
ENVIRONMENT = {"device": "a processor", "torch": "2.13.0", "git_commit": "0123456789abcdef"}
ENDED_MS = 1_795_694_113_829  # 2026-11-26


class Bare(MadeUp):
    """Results without images and networks."""

    @property
    def dataset(self) -> Dataset:
        raise AssertionError("no images are there")

    def network(self, run: Run) -> torch.nn.Module:
        raise AssertionError(f"no network of {run.method} is there")

    def test_logits(self, run: Run) -> np.ndarray:
        raise AssertionError(f"no logits of {run.method} are there")


@pytest.fixture
def results(tmp_path: Path) -> MadeUp:
    """Two trials a method, with their records."""
    found = made_up(tmp_path / "runs", *demo(METHODS))
    for run in found.runs:
        write(found.record(run), run, "FINISHED")
    return found


def write(record: Record, run: Run, state: str) -> None:
    record.create(run, {"pair": run.pair, "method": run.method})
    record.write_json("environment.json", {**ENVIRONMENT, "host": "an operating system"})
    record.append({"epoch": 0, "seconds": 1.0, "time_ms": 1, "metrics": {"test/top1": 50.0}})
    record.write_status(Status(state, started_ms=1, ended_ms=ENDED_MS))  # type: ignore[arg-type]
    if state == "FINISHED":
        np.savez(record.test_logits, logits=np.ones((2, 3), np.float16))
        record.weights.write_bytes(b"weights")


def draw(results: MadeUp, out: Path) -> dict[str, bytes]:
    """What two figures of networks write, by file name."""
    out.mkdir()
    written = decision_regions.write(results, out) + inter_class_correlation.write(results, out)
    return {path.name: path.read_bytes() for path in written if path.suffix == ".csv"}


def browsed(results: MadeUp, tmp_path: Path) -> Bare:
    runs_dir = tmp_path / "browse"
    recorded.fill(runs_dir, tmp_path / "recorded")
    return Bare(results.grid, results.profile, results.runs, pd.DataFrame(), runs_dir, tmp_path)


def test_figures_are_drawn_again_without_images_networks_and_logits(results, tmp_path):
    first = draw(results, tmp_path / "first")
    recorded.pack(results, tmp_path / "recorded")
    shown = browsed(results, tmp_path)
    again = draw(shown, tmp_path / "again")
    mark = f"# {shown.marks[1]}\n".encode()
    assert first.keys() == again.keys()
    for name, content in first.items():
        assert mark in again[name]
        assert again[name].replace(mark, b"") == content


def test_the_mark_says_where_and_when_they_were_trained(results, tmp_path):
    recorded.pack(results, tmp_path / "recorded")
    _, mark = browsed(results, tmp_path).marks
    where = "2026-11-26 on a processor, torch 2.13.0, commit 0123456789ab"
    assert mark == f"Recorded results, not of this machine, trained {where}"
    assert browsed(results, tmp_path).out(Path("figures")) == Path("figures/out/recorded/demo")
    assert not any("Recorded" in mark for mark in results.marks)
    assert results.out(Path("figures")) == Path("figures/out/demo")


def test_records_are_whole_but_for_most_weights_and_logits(results, tmp_path):
    recorded.pack(results, tmp_path / "recorded")
    shown = browsed(results, tmp_path)
    assert {record.key for record in Records(shown.runs_dir)} == {key(run) for run in results.runs}
    for run in results.runs:
        ours, theirs = results.record(run), shown.record(run)
        assert theirs.run() == run
        assert (theirs.status(), theirs.history()) == (ours.status(), ours.history())
        assert theirs.environment() == ENVIRONMENT
        assert theirs.weights.exists() == (run.trial == 0)
        assert theirs.test_logits.exists() == (run.trial == 0)


def test_a_failed_run_is_recorded_too(results, tmp_path):
    failed, *others = (run for run in results.runs if run.method == "kd")
    write(results.record(failed), failed, "FAILED")
    finished = tuple(run for run in results.runs if run != failed)
    recorded.pack(replace(results, runs=finished), tmp_path / "recorded")
    shown = browsed(results, tmp_path)
    assert Records(shown.runs_dir).state(key(failed)) == "FAILED"
    for found in (shown, results):
        assert [one.words for one in failures(found)] == [f"{failed.pair} kd trial {failed.trial}"]
    assert Records(shown.runs_dir).state(key(others[0])) == "FINISHED"


def test_a_failed_run_beyond_the_grid_s_own_is_recorded_too(results, tmp_path):
    """A later trial than the profile's, and a method that the grid does not have by itself."""
    chosen = Choice(trials=results.profile.trials + 2, methods=("ttm", "kd"))
    wide = expand("demo", results.profile, chosen)
    failed = [run for run in wide if run.method == "ttm" or run.trial >= results.profile.trials]
    for run in failed:
        write(results.record(run), run, "FAILED")
    other = expand("cifar-same", PROFILES["quick"])[-1]
    write(results.record(other), other, "FAILED")
    assert {key(one.run) for one in failures(results)} == {key(run) for run in failed}
    recorded.pack(results, tmp_path / "recorded")
    records = Records(browsed(results, tmp_path).runs_dir)
    assert {record.key for record in records if records.state(record.key) == "FAILED"} == {
        key(run) for run in failed
    }


def test_the_same_results_make_the_same_bytes(results, tmp_path):
    measured.relations_of(results)
    first = recorded.pack(results, tmp_path / "a").read_bytes()
    assert recorded.pack(results, tmp_path / "b").read_bytes() == first


def test_of_a_measurement_the_newest_is_recorded(results, tmp_path):
    measured.attack_of(results)
    measured.attack_of(replace(results, profile=replace(results.profile, attack_images=14)))
    path = recorded.pack(results, tmp_path / "recorded")
    with tarfile.open(path) as archive:
        names = [name for name in archive.getnames() if name.startswith("measured/")]
    assert len(names) == len({name.rpartition("-")[0] for name in names}) == len(results.runs)
    assert set(measured.attack_of(browsed(results, tmp_path))["images"]) == {14}


def test_what_was_not_recorded_is_said(results, tmp_path):
    recorded.pack(results, tmp_path / "recorded")
    with pytest.raises(UserError, match=r"planes of .* is not recorded and its network not here$"):
        measured.planes_of(browsed(results, tmp_path))


def test_a_network_that_is_not_here_keeps_what_was_measured_of_it(results):
    """A campaign takes recorded runs in, most of them without weights."""
    measured_before = measured.relations_of(results)
    student = next(run for run in results.runs if run.teacher)
    results.missing.add(key(student))
    pd.testing.assert_frame_equal(measured.relations_of(results), measured_before)
    told = rf"attack of .* network not here; remove .*{key(student)} and run again to measure it"
    with pytest.raises(NotRecorded, match=told):
        measured.attack_of(results)


def test_figures_show_the_networks_that_were_measured(results):
    """Others, of which the accuracy alone was recorded, do not keep them from it."""
    measured.planes_of(results)
    left = next(run for run in results.runs if run.method == "ce")
    shutil.rmtree(results.runs_dir / "measured" / key(left))
    results.missing.update(key(run) for run in results.runs)
    table = pd.DataFrame({"key": [key(run) for run in results.runs]})
    fewer = measured_runs(replace(results, table=table))
    assert set(fewer.runs) == {run for run in results.runs if key(run) != key(left)}
    assert set(fewer.table["key"]) == {key(run) for run in fewer.runs}


def test_claims_leave_out_networks_that_were_not_measured(results):
    measured.relations_of(results)
    students = [run for run in results.runs if run.teacher]
    left = students[0]
    shutil.rmtree(results.runs_dir / "measured" / key(left))
    results.missing.add(key(left))
    evidence = Evidence((results,))
    frame = evidence.measured(measured.relations_of, [left.pair], METHODS)
    assert set(frame["key"]) == {key(run) for run in students} - {key(left)}


def test_a_network_that_was_taken_in_is_recorded_without_logits(results, tmp_path):
    first = results.runs[0]
    results.bare.add(key(first))
    results.record(first).test_logits.unlink()
    recorded.pack(results, tmp_path / "recorded")
    shown = browsed(results, tmp_path)
    assert not shown.record(first).test_logits.exists()
    assert shown.record(first).weights.exists()


def test_how_many_runs_an_archive_adds_is_counted(results, tmp_path):
    folder = tmp_path / "recorded"
    recorded.pack(replace(results, runs=results.runs[:2]), folder)
    recorded.pack(replace(results, grid="cifar-same"), folder)
    found = {one["grid"]: one["runs"] for one in recorded.fill(tmp_path / "browse", folder)}
    assert found == {"demo": 2, "cifar-same": len(results.runs) - 2}


def test_pictures_stay_where_nothing_can_be_shown(tmp_path, monkeypatch):
    def damaged(*_):
        raise UserError("an archive is damaged")

    monkeypatch.setattr(recorded, "fill", damaged)
    (tmp_path / "quick-one.png").touch()
    with pytest.raises(UserError, match="damaged"):
        readme.section(tmp_path / "runs", tmp_path)
    assert (tmp_path / "quick-one.png").exists()


def test_weights_are_recorded_as_far_as_there_is_room(results, tmp_path, monkeypatch):
    """The smallest first; those that another archive has once."""
    folder = tmp_path / "recorded"
    large = results.record(results.runs[0]).weights
    large.write_bytes(bytes(10_000_000))
    monkeypatch.setattr(recorded, "MOST_WEIGHTS", 10_000_000)
    recorded.pack(results, folder)
    (path,) = recorded.weight_archives(folder)
    assert recorded.keys_in(path) == {key(run) for run in results.runs[1:] if run.trial == 0}
    assert path.stat().st_size < 10_000_000
    path.rename(folder / "another.weights.tar")
    recorded.pack(results, folder)
    assert len(recorded.weight_archives(folder)) == 1


def test_filling_again_keeps_what_is_there_until_the_archives_change(results, tmp_path):
    folder, runs_dir = tmp_path / "recorded", tmp_path / "browse"
    recorded.pack(results, folder)
    first = recorded.fill(runs_dir, folder)
    (runs_dir / "mlflow.db").write_text("filled")
    assert recorded.fill(runs_dir, folder) == first
    assert (runs_dir / "mlflow.db").exists()
    measured.attack_of(results)
    recorded.pack(results, folder)
    recorded.fill(runs_dir, folder)
    assert not (runs_dir / "mlflow.db").exists()
    digests = json.loads((runs_dir / filled.FILE).read_text())["digests"]
    assert sorted(digests) == FILES


def test_a_directory_of_other_things_is_left_alone(results, tmp_path):
    recorded.pack(results, tmp_path / "recorded")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="other things"):
        recorded.fill(mine, tmp_path / "recorded")
    assert (mine / "notes.txt").read_text() == "mine"


def test_without_archives_the_way_out_is_named(tmp_path):
    with pytest.raises(UserError, match="repro record GRID"):
        recorded.fill(tmp_path / "browse", tmp_path / "recorded")
