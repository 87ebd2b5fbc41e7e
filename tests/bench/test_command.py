"""``repro bench``: its tables, its JSON, and what it says to wrong words."""

import json
import math
import multiprocessing
from pathlib import Path
from typing import Any

import pytest

from tests.bench.conftest import WORDS, Told, numbers
from tests.cli.invoke import error_of, repro, usage_error_of


@pytest.fixture(scope="module")
def found(told: Told) -> dict[str, Any]:
    return json.loads(told.stdout)


def test_json_alone_is_on_stdout_and_the_tables_are_not(told: Told) -> None:
    assert told.stdout.startswith("{")
    assert told.stdout.endswith("}\n")
    assert "resnet8:resnet8 2/2, student images/s: usual loop " in told.stderr
    assert "Shares of a step (%)" in told.stderr
    assert "grid cifar, profile paper, 590 runs in fp32: about " in told.stderr


def test_json_names_machine_settings_and_ceilings(found: dict[str, Any]) -> None:
    assert found.keys() == {"hardware", "settings", "ceilings", "results", "grid"}
    assert found["hardware"].keys() >= {"device", "cores", "threads", "torch", "python", "date"}
    settings = found["settings"]
    assert settings["images"] == "192 images, random uint8, seed 0"  # 3 whole batches of 200
    assert (settings["profile"], settings["batch_size"], settings["repeats"]) == ("paper", 64, 2)
    assert found["ceilings"].keys() == {
        "flops_per_second",
        "bytes_per_second",
        "cached_bytes_per_second",
    }


def test_json_has_a_result_a_case(found: dict[str, Any]) -> None:
    assert [(r["pair"], r["cohort"], r["precision"], r["teacher"]) for r in found["results"]] == [
        ("resnet8:resnet8", 1, "fp32", "live"),
        ("resnet8:resnet8", 2, "fp32", "live"),
    ]
    for result in found["results"]:
        assert result.keys() == {
            "pair",
            "cohort",
            "precision",
            "teacher",
            "student_images_per_second",
            "reference_images_per_second",
            "ratio",
            "student_alone_images_per_second",
            "fraction_of_student_alone",
            "epoch_seconds",
            "run_seconds",
            "peak_memory_bytes",
            "shares",
            "floor_images_per_second",
            "times_above_floor",
            "repeats",
        }
        assert len(result["repeats"]) == 2
        assert result["shares"].keys() == {"data", "teacher", "student", "loss", "logging"}
        assert math.isclose(sum(result["shares"].values()), 1)
        assert result["run_seconds"] == pytest.approx(240 * result["epoch_seconds"])


def test_every_number_is_finite_and_positive(found: dict[str, Any]) -> None:
    for part in ("ceilings", "results", "grid"):
        assert all(math.isfinite(number) and number > 0 for number in numbers(found[part]))


def test_the_grid_is_projected_from_the_largest_cohort(found: dict[str, Any]) -> None:
    grid = found["grid"]
    assert (grid["name"], grid["profile"]) == ("cifar", "paper")
    (projection,) = grid["projections"]
    assert (projection["precision"], projection["cohort"], projection["runs"]) == ("fp32", 2, 590)
    largest = found["results"][-1]
    steps = largest["student_images_per_second"] / 2  # images a second, each seen by two students
    macs = 3 * 2 * RESNET8 + RESNET8
    assert projection["macs_per_second"] == pytest.approx(steps * macs)


RESNET8 = 12_507_392  # by hand: convolutions of stem, three stages, two projections; classifier


def test_without_the_reference_a_file_is_written_and_a_dash_shown(tmp_path: Path) -> None:
    target = tmp_path / "bench.json"
    result = repro(*WORDS, "--cohorts", "1", "--repeats", "1", "--no-reference", "--json", target)
    assert result.exit_code == 0, result.output
    assert [path.name for path in tmp_path.iterdir()] == ["bench.json"]
    (found,) = json.loads(target.read_text())["results"]
    assert found["reference_images_per_second"] is None
    assert found["ratio"] is None
    (row,) = [line for line in result.stdout.splitlines() if "MiB" not in line and "│" in line][:1]
    assert [cell.strip() for cell in row.split("│")[6:8]] == ["-", "-"]
    assert "usual loop 1" not in result.stdout


def test_no_worker_is_left(told: Told) -> None:  # noqa: ARG001
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--pairs", "resnet19:resnet8"), "unknown model 'resnet19'; known: resnet8, resnet14,"),
        (("--pairs", "resnet8"), "pair 'resnet8' is not like teacher:student, such as resnet56:"),
        (("--cohorts", "0"), "a cohort is a whole number from 1 to 16, not '0'"),
        (("--cohorts", "1,two"), "a cohort is a whole number from 1 to 16, not 'two'"),
        (("--cohorts", "17"), "a cohort is a whole number from 1 to 16, not '17'"),
        (("--precision", "fp16"), "unknown precision 'fp16'; known: fp32, bf16"),
        (("--teacher", "dead"), "unknown teacher 'dead'; known: live, bank"),
        (("--repeats", "0"), "--repeats must be at least 1, not 0"),
        (("--device", "tpu"), "unknown device 'tpu'; known: auto, cpu, cuda"),
        (("--data", "nowhere.npz"), "nowhere.npz does not exist"),
        (("--json", "nowhere/bench.json"), "--json nowhere/bench.json is no file in an existing"),
        (("--json", "/"), "--json / is no file in an existing folder"),
    ],
)
def test_a_wrong_word_is_one_line(words: tuple[str, ...], message: str) -> None:
    assert error_of(repro("bench", *words)).startswith(message)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--repeats", "x"), "'x' is not a valid integer"),
        (("--seconds", "-1"), "-1"),
        (("--cohorts", "1,,2"), "'1,,2' is no list of names separated by commas"),
    ],
)
def test_nonsense_is_a_usage_error(words: tuple[str, ...], message: str) -> None:
    assert message in usage_error_of(repro("bench", *words))
