"""Every experiment runs, tiny and on the CPU, with torch, numpy and safetensors alone."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from repro.bench.gpu.catalogue import BY_NAME
from repro.bench.gpu.device import Rehearsal
from repro.bench.gpu.experiments.training import usual_loop
from repro.bench.gpu.lab import TINY, Lab
from repro.bench.gpu.runner import read

SCRIPT = Path(__file__).with_name("rehearse.py")
Rows = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="session")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """The rows of every experiment, all in one process: the imports take most of the time."""
    folder = tmp_path_factory.mktemp("rehearsed")
    command = [sys.executable, str(SCRIPT), str(folder), *BY_NAME]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parents[2])
    assert ran.returncode == 0, ran.stderr
    return {name: read(folder / name) for name in BY_NAME}


def values(item: Any, key: str) -> Iterator[Any]:
    """Every value under ``key``, however deep."""
    if isinstance(item, dict):
        for name, value in item.items():
            if name == key:
                yield value
            yield from values(value, key)
    elif isinstance(item, list):
        for value in item:
            yield from values(value, key)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_variant_of_the_experiment_runs(rehearsed: Rows, name: str) -> None:
    rows = rehearsed[name]
    assert rows[0]["part"] == "machine"
    assert rows[0]["device"]
    assert len(rows) > 1
    told = [error for error in values(rows, "error") if name != "E13" or "PIL" not in error]
    assert not told
    assert not list(values(rows, "left_out"))


def test_only_the_usual_loop_needs_torchvision_and_says_so(rehearsed: Rows) -> None:
    (row,) = [row for row in rehearsed["E13"] if "error" in row]
    assert row["part"] == "usual loop"
    assert "PIL" in row["error"]


def test_the_usual_loop_is_timed_where_torchvision_is_there() -> None:
    lab = Lab(device=Rehearsal(), out=io.StringIO(), sizes=TINY)
    row = usual_loop(lab, "resnet8:resnet8")
    assert row["epoch_seconds"] == pytest.approx(row["ms"] * 782 / 1e3)
    assert row["seconds_per_student"] == pytest.approx(240 * row["epoch_seconds"])


def test_steps_are_timed_with_their_students_images(rehearsed: Rows) -> None:
    rows = [row for row in rehearsed["E3"] if "form" in row]
    assert {row["form"] for row in rows} == {"lanes", "serial", "fork_join"}
    for row in rows:
        assert 0 < row["ms_min"] <= row["ms_median"]
        assert row["ms_per_student"] == pytest.approx(row["ms_median"] / 2, rel=1e-3)
        expected = 2 * 2 / row["ms_median"] * 1e3  # two students, batches of two images
        assert row["student_images_per_second"] == pytest.approx(expected, rel=1e-2)


def test_recorded_steps_equal_eager_ones_on_the_stand_in(rehearsed: Rows) -> None:
    rows = [row for row in rehearsed["E2"] if row.get("part") == "correctness"]
    assert [row["precision"] for row in rows] == ["fp32", "bf16", "fp32", "bf16"]
    for row in rows:
        assert row["recorded_minus_eager"] == {"model": 0, "momentum": 0, "sums": 0}
        assert row["moved"] > 0
    (beside,) = [row for row in rehearsed["E2"] if row.get("part") == "alone_or_together"]
    assert beside["difference"] == {"model": 0, "momentum": 0, "sums": 0}


def test_filling_one_place_of_the_ring_leaves_the_other(rehearsed: Rows) -> None:
    (row,) = [row for row in rehearsed["E2"] if row.get("part") == "ring"]
    assert row["changed"] == []


def test_stacked_students_learn_what_separate_ones_do(rehearsed: Rows) -> None:
    (row,) = [row for row in rehearsed["E5"] if row.get("part") == "correctness"]
    assert row["parameters"] < 1e-5
    assert row["statistics"] < 1e-5


def test_network_and_loss_compile_in_one_piece_for_all_students(rehearsed: Rows) -> None:
    (row,) = [row for row in rehearsed["E6"] if row.get("part") == "compile"]
    assert row["graph_breaks"] == {}
    assert row["another_seconds"] < row["seconds"] / 5  # it shares what was compiled
