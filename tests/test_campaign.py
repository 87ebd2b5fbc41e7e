"""What is trained first, and when it ends."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from repro import campaign
from repro.campaign import STEPS, Step, pairs, requests_of
from repro.choice import Choice
from repro.errors import UserError
from repro.grid import GRIDS, expand
from repro.profiles import PROFILES
from repro.request import Request


@pytest.mark.parametrize("name", STEPS)
def test_every_step_is_of_a_grid_and_has_pairs(name: str) -> None:
    for step in STEPS[name]:
        assert step.grid in GRIDS
        for request in requests_of(step, Request(grid="cifar", profile=name)):
            assert expand(step.grid, PROFILES[name], request.choice)


def test_a_teacher_is_trained_just_before_its_first_student() -> None:
    """A request a pair: all of a step at once would train every teacher first."""
    step = Step("stronger-teacher", student="resnet20")
    asked = list(requests_of(step, Request(grid="cifar", profile="paper")))
    found = [request.choice.pairs for request in asked]
    assert found == [(f"resnet{n}:resnet20",) for n in (32, 44, 56, 110)]
    assert {request.choice.trials for request in asked} == {5}


def test_the_paper_s_campaign_trains_every_grid_of_the_union() -> None:
    paper = PROFILES["paper"]
    left = {(grid, run.pair) for grid in paper.union for run in expand(grid, paper) if run.teacher}
    for step in STEPS["paper"]:
        left -= {(step.grid, pair) for pair in pairs(step, paper)}
    assert not left


def test_all_of_a_campaign_is_asked_for_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, told = [], []

    def run(request: Request, _console: Any) -> int:
        asked.append((request.grid, *request.choice.pairs))
        return int(request.grid == "ablation")

    monkeypatch.setattr(campaign, "run", run)
    monkeypatch.setattr(campaign, "tell", lambda grid, *_: told.append(grid))
    request = Request(grid="cifar", profile="demo", runs_dir=tmp_path)
    assert campaign.campaign(request, Console(file=io.StringIO())) == 1
    assert asked[:2] == [("demo", "resnet14:resnet8"), ("ablation", "resnet14:resnet8")]
    assert told == [step.grid for step in STEPS["demo"]]


def test_given_images_are_at_hand_before_the_first_step_though_it_trains_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    monkeypatch.setattr(campaign, "import_path", lambda *where: done.append(where))
    monkeypatch.setattr(campaign, "run", lambda request, _: done.append(request.grid) or 0)
    monkeypatch.setattr(campaign, "tell", lambda *_: None)
    for profile in ("quick", "demo"):  # demo is of scikit-learn's digits
        request = Request(grid="cifar", profile=profile, source=tmp_path, runs_dir=tmp_path)
        campaign.campaign(request, Console(file=io.StringIO()))
    assert done[: done.index("cifar-same")] == [(tmp_path, request.data_dir)]
    assert done.count((tmp_path, request.data_dir)) == 1


def test_claims_are_told_where_tables_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_images(*_: Any, **__: Any) -> None:
        raise UserError("no images")

    monkeypatch.setattr(campaign.output, "tables", no_images)
    monkeypatch.setattr(campaign.judging, "claims", lambda console, *_, **__: console.print("C1"))
    stream = io.StringIO()
    request = Request(grid="cifar", profile="quick", runs_dir=tmp_path)
    campaign.tell("cifar-same", "quick", request, Console(file=stream))
    assert stream.getvalue().split("\n")[:2] == ["no images", "C1"]


def test_with_too_little_time_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[Request] = []
    monkeypatch.setattr(campaign, "run", lambda request, _: begun.append(request) or 0)
    stream = io.StringIO()
    request = Request(grid="cifar", profile="demo", runs_dir=tmp_path, max_seconds=10.0)
    assert campaign.campaign(request, Console(file=stream)) == 0
    assert not begun
    assert "left: the same command goes on" in stream.getvalue()


def test_when_the_time_is_up_within_a_step_what_it_trained_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[Any] = []
    now = iter([0.0, 0.0, 30.0, 950.0])  # one pair takes 30 s, the next all that is left
    monkeypatch.setattr(campaign.time, "monotonic", lambda: next(now))
    monkeypatch.setattr(campaign, "STEPS", {"demo": (Step("stronger-teacher"), Step("demo"))})
    monkeypatch.setattr(campaign, "run", lambda request, _: done.append(request.choice.pairs) or 0)
    monkeypatch.setattr(campaign, "tell", lambda grid, *_: done.append(grid))
    request = Request(grid="cifar", profile="demo", runs_dir=tmp_path, max_seconds=1000.0)
    campaign.campaign(request, Console(file=io.StringIO()))
    assert done == [("resnet14:resnet8",), ("resnet20:resnet8",), "stronger-teacher"]


def test_where_nothing_is_tuned_it_says_how_to_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaign.output, "tables", lambda *_, **__: None)
    monkeypatch.setattr(campaign.judging, "claims", lambda *_, **__: None)
    request, said = Request(grid="cifar", runs_dir=tmp_path), {}
    for profile in ("paper", "quick"):
        stream = io.StringIO()
        campaign.tell("tuning", profile, request, Console(file=stream, width=400))
        said[profile] = stream.getvalue()
    where = "tables: paper_tables/out/tuning/\n"
    words = "nothing is chosen under profile paper: `repro tables tuning`"
    assert said["paper"].startswith(where + words)
    assert said["quick"] == where


def test_methods_and_trials_that_are_asked_for_stay() -> None:
    choice = Choice(trials=2, methods=("kd",))
    request = Request(grid="cifar", profile="quick", choice=choice)
    (asked,) = requests_of(Step("ablation"), request)
    assert (asked.choice.trials, asked.choice.methods) == (2, ("kd",))


def test_a_profile_without_a_campaign_is_told() -> None:
    with pytest.raises(UserError, match="unknown profile of a campaign 'x'"):
        campaign.campaign(Request(grid="cifar", profile="x"), Console(file=io.StringIO()))
