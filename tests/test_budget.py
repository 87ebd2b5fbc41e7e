"""GPU hours and wall time of grids, against hand computations."""

from pathlib import Path

import pytest
import torch

from repro import budget
from repro.budget import Job, Speed, jobs_of, page, speed_on_gpus, wall_seconds
from repro.estimate import ASSUMED_SPEED, clock, estimates
from repro.grid import Choice
from repro.planned import waves_of
from repro.records import Records
from repro.request import request_of
from tests.cli.invoke import error_of, repro


def job(seconds: float, makes: str, needs: str = "") -> Job:
    return Job(seconds, frozenset([makes]), needs)


# Two teachers; x and y are students of a, z is one of b, w has none. On two GPUs, by hand:
#   first   a 0-5                x 5-9       w 9-10
#   second  b 0-3    z 3-9                   y 9-11
# (at 3 neither x nor y can go, for a is not finished; z can; x goes at 5, y and w at 9)
JOBS = (
    *(job(5, "a"), job(3, "b")),
    *(job(6, "z", "b"), job(4, "x", "a"), job(2, "y", "a"), job(1, "w")),
)


@pytest.mark.parametrize(("gpus", "seconds"), [(1, 21.0), (2, 11.0), (3, 9.0), (64, 9.0)])
def test_the_wall_time_is_that_of_a_hand_computation(gpus: int, seconds: float) -> None:
    """With three GPUs: w goes at 0, and z, which begins at 3, is the last to end."""
    assert wall_seconds(JOBS, gpus) == seconds


def test_a_free_gpu_waits_for_a_teacher() -> None:
    assert wall_seconds([job(5, "a"), job(1, "x", "a"), job(1, "y", "a")], 2) == 6.0


def test_a_teacher_that_nobody_trains_is_there_already() -> None:
    assert wall_seconds([job(4, "x", "a"), job(2, "y", "a")], 2) == 4.0


def test_jobs_that_wait_for_each_other_are_told() -> None:
    with pytest.raises(ValueError, match="wait for each other"):
        wall_seconds([job(1, "a", "b"), job(1, "b", "a")], 2)


def test_on_one_gpu_it_is_the_estimate_of_the_plan(tmp_path: Path) -> None:
    asked = request_of(
        grid="plug-in",
        profile="quick",
        trials=None,
        pairs=(),
        methods=(),
        precision="fp32",
        held_out=False,
        device="cpu",
    )
    _, runs, _ = asked.resolve()
    waves, _ = waves_of(runs, Records(tmp_path), 8)
    planned = sum(seconds for *_, seconds in estimates(waves, 1e9, "auto"))
    jobs = jobs_of("plug-in", Choice(), profile="quick", max_cohort=8, speed=1e9)
    assert wall_seconds(jobs, 1) == pytest.approx(planned)
    assert sum(len(job.makes) for job in jobs) == len(runs)
    assert clock(planned)


def test_the_table_has_every_grid_and_says_whence_the_speed_is() -> None:
    text = page(profile="quick", choice=Choice(), gpus=(1, 8), speed=Speed(2e9, "made up"))
    lines = text.splitlines()
    assert lines[0] == "| grid | runs | cohorts | GPU hours | on 1 | on 8 |"
    names = [line.split(" | ")[0] for line in lines[2:8]]
    assert names == [
        "| " + name
        for name in (
            *("cifar", "cifar-same", "cifar-different", "stronger-teacher", "ablation", "plug-in"),
        )
    ]
    for line in lines[2:8]:
        *_, total, alone, eight = line.strip("| ").split(" | ")
        assert total == alone
        assert float(eight.split()[0]) < float(alone.split()[0])
    assert "Speed: 2e+09 multiply-accumulates a second on a GPU, made up." in text


def test_a_speed_is_given_or_measured_or_assumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert speed_on_gpus(3e12, tmp_path) == Speed(3e12, "given with --speed")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assumed = speed_on_gpus(None, tmp_path)
    assert assumed.macs == ASSUMED_SPEED["cuda"]
    assert assumed.source.startswith("assumed")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(budget, "device_name", lambda _: "H100")
    monkeypatch.setattr(budget, "machine_speed", lambda *_: 4e12)
    measured = speed_on_gpus(None, tmp_path)
    assert measured == Speed(4e12, f"measured on H100, in the records of {tmp_path}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--gpus", "many"), "--gpus are whole numbers, such as 1,8,64, not many"),
        (("--gpus", "0"), "--gpus, --max-cohort and --speed are numbers above 0"),
        (("--speed", "nan"), "--gpus, --max-cohort and --speed are numbers above 0"),
        (("--methods", "nope"), "unknown method 'nope'"),
        (("--profile", "full"), "unknown profile 'full'"),
    ],
)
def test_nonsense_is_told(words: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert error_of(repro("budget", *words, "--runs-dir", tmp_path)).startswith(message)
