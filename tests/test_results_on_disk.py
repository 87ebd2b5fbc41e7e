"""What results read of the records: histories and test logits."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from repro import results
from repro.errors import UserError
from repro.grid import expand
from repro.records import Records
from repro.results import GridResults, grid_results
from repro.spec import key
from tests.made_results import DEMO, QUICK, finished


@pytest.fixture
def on_disk(tmp_path: Path) -> GridResults:
    """The demo's teacher with two epochs and test logits."""
    run = expand("demo", DEMO)[0]
    record = Records(tmp_path).of(key(run))
    record.create(run, {})
    for epoch in range(2):
        record.append({"epoch": epoch, "metrics": {"test/top1": 40.0 + epoch, "lr": 0.05}})
    np.savez(record.test_logits, logits=np.arange(20, dtype=np.float16).reshape(2, 10))
    return grid_results("demo", DEMO, tmp_path, tmp_path, finished(run))


def test_histories_are_a_row_an_epoch(on_disk: GridResults) -> None:
    expected = pd.DataFrame(
        {
            "key": [key(on_disk.runs[0])] * 2,
            "pair": [on_disk.runs[0].network] * 2,
            "method": ["teacher"] * 2,
            "trial": [0, 0],
            "epoch": [0, 1],
            "test_top1": [40.0, 41.0],
            "weight_pearson": [np.nan, np.nan],
        }
    )
    found = on_disk.histories("test/top1", "weight/pearson")
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    assert list(on_disk.histories("lr")) == ["key", "pair", "method", "trial", "epoch", "lr"]


def test_no_runs_have_a_history_without_rows(tmp_path: Path) -> None:
    empty = grid_results("demo", DEMO, tmp_path, tmp_path, finished())
    found = empty.histories("test/top1")
    assert list(found) == ["key", "pair", "method", "trial", "epoch", "test_top1"]
    assert len(found) == 0


def test_a_baseline_of_several_pairs_is_read_once_and_has_its_rows_in_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [run for run in expand("stronger-teacher", QUICK) if run.method in ("ce", "teacher")]
    for number, run in enumerate(runs):
        record = Records(tmp_path).of(key(run))
        record.create(run, {})
        for epoch in range(1 + number):  # as of trainings of different lengths
            record.append({"epoch": epoch, "metrics": {"test/top1": 10.0 * number + epoch}})
    found = grid_results("stronger-teacher", QUICK, tmp_path, tmp_path, finished(*runs))
    read: list[str] = []
    read_on = results.read_on
    monkeypatch.setattr(results, "read_on", lambda of: read.append(of.key) or read_on(of))
    histories = found.histories("test/top1")
    assert sorted(read) == sorted(key(run) for run in runs)
    baselines = [run for run in found.runs if run.method == "ce"]
    assert len(baselines) == 2 * len({key(run) for run in baselines})  # two pairs, each trial
    for run in found.runs:
        rows = histories[(histories["key"] == key(run)) & (histories["pair"] == run.pair)]
        number = [key(other) for other in runs].index(key(run))
        assert rows["test_top1"].tolist() == [10.0 * number + e for e in range(1 + number)]


def test_test_logits_are_read_in_float32_and_damage_is_told(on_disk: GridResults) -> None:
    (run,) = on_disk.runs
    logits = on_disk.test_logits(run)
    assert logits.dtype == np.float32
    assert logits.tolist() == np.arange(20).reshape(2, 10).tolist()
    path = on_disk.record(run).test_logits
    path.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"test_logits\.npz cannot be read; remove .*run again"):
        on_disk.test_logits(run)
    assert on_disk.has_logits(run)
    path.unlink()
    assert not on_disk.has_logits(run)


def test_the_digest_of_weights_follows_the_file(on_disk: GridResults) -> None:
    (run,) = on_disk.runs
    path = on_disk.record(run).weights
    with pytest.raises(UserError, match=r"weights\.safetensors cannot be read; remove .*run again"):
        on_disk.weights_digest(run)
    path.write_bytes(b"one")
    first = on_disk.weights_digest(run)
    assert first == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"another")
    assert on_disk.weights_digest(run) == hashlib.sha256(b"another").hexdigest()


def test_images_are_those_that_the_profile_evaluates_on(on_disk: GridResults) -> None:
    training, evaluated = on_disk.images
    assert (len(training), len(evaluated)) == (1297, 500)
    assert on_disk.test_labels.tolist() == evaluated.labels.tolist()
