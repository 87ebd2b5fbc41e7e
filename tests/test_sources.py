"""Where the values of a run are from: each from the first source that says this very value."""

from dataclasses import replace
from typing import Any

import pytest

from repro import paper_methods
from repro.grid import Choice, expand
from repro.losses import METHODS, Standardized
from repro.profiles import PROFILES, Profile
from repro.sources import rows, text
from repro.spec import Run, encode, key

PAPER, QUICK = PROFILES["paper"], PROFILES["quick"]
TRAIN = "RepDistiller@b84f547 train_student.py"
IMAGES = "RepDistiller@b84f547 dataset/cifar100.py"


def run_of(method: str, profile: Profile = PAPER, pair: str = "resnet56:resnet20") -> Run:
    grid = "cifar-same" if pair in ("resnet56:resnet20", "vgg13:vgg8") else "cifar-different"
    grid = "ablation" if "/" in method else grid
    pairs = () if "/" in method else (pair,)
    runs = expand(grid, profile, Choice(pairs=pairs, methods=(method,), trials=1))
    return next(run for run in runs if run.method == method)


def sources(run: Run, profile: Profile = PAPER) -> dict[str, str]:
    return {row.name: row.source for row in rows(run, profile, {}, "nowhere")}


def leaves(data: Any) -> list[Any]:
    """The values of a run's JSON, without the types of stream, optimiser and run."""
    if isinstance(data, dict):
        return [leaf for value in data.values() for leaf in leaves(value)]
    nested = isinstance(data, list) and data and isinstance(data[0], dict)
    return [leaf for item in data for leaf in leaves(item)] if nested else [data]


@pytest.mark.parametrize("method", ["kd", "cmkd", "dkd+ls", "kd+ls+cmkd"])
def test_every_value_of_the_recorded_json_is_a_row(method: str) -> None:
    run = run_of(method)
    found = {row.name: row.value for row in rows(run, PAPER, {}, "-")}
    assert found["pair"] == "resnet56:resnet20"
    assert run.teacher is not None
    assert found["teacher"] == key(run.teacher)[:12]
    data = encode(replace(run, stream=replace(run.stream, second_view="strong")))
    data["stream"].pop("type")
    data["optim"].pop("type")
    data = {name: value for name, value in data.items() if name not in ("type", "teacher")}
    assert found.keys() - {"pair", "teacher"} >= {"method", "network", "trial", "precision"}
    assert len(found) - 2 == len(leaves(data))
    assert [text(v) for n, v in found.items() if n.startswith("loss")] == [
        ", ".join(map(str, leaf)) if isinstance(leaf, list) else str(leaf)
        for leaf in leaves(data["loss"])
    ]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("pair", ["resnet56:resnet20", "ResNet50:MobileNetV2"])
def test_every_value_of_a_grid_has_a_source(method: str, pair: str) -> None:
    profile = QUICK if "Mobile" in pair else PAPER
    found = sources(run_of(method, profile, pair), profile)
    without = {name for name, source in found.items() if source in ("nowhere", "-", "")}
    assert without == {"method", "pair", "network", "teacher", "trial"}  # what the grid is asked


def test_the_recipe_is_the_benchmark_s() -> None:
    found = sources(run_of("dkd"))
    recipe = {name: found[name] for name in found if name.startswith(("stream", "optim"))}
    assert recipe.pop("stream.second_view") == "what the loss reads"
    assert {name for name in recipe if recipe[name] == TRAIN} == {
        *("stream.batch_size", "stream.epochs"),
        *("optim.lr", "optim.momentum", "optim.weight_decay", "optim.milestones", "optim.decay"),
    }
    assert set(recipe.values()) == {TRAIN, IMAGES}


def test_a_light_network_has_its_own_learning_rate() -> None:
    found = sources(run_of("kd", pair="vgg13:MobileNetV2"))
    assert found["optim.lr"] == f"{TRAIN}: MobileNetV2, ShuffleV1, V2"


def test_a_profile_is_named_where_it_changes_a_value() -> None:
    found = sources(run_of("dkd", QUICK), QUICK)
    assert found["stream.epochs"] == "profile quick; the recipe: 240"
    assert found["stream.train_per_class"] == "profile quick; the recipe: 0"
    assert found["optim.milestones"] == "profile quick; the recipe: 150, 180, 210"
    assert found["optim.lr"] == TRAIN
    place = "mdistiller@a08d46f configs/cifar100/dkd/"
    assert found["loss.warmup_epochs"] == f"profile quick; 20: {place}res32x4_res8x4.yaml"
    assert found["loss.beta"] == f"{place}res56_res20.yaml"


def test_a_weight_of_the_pair_has_the_place_of_the_pair() -> None:
    place = "mdistiller@a08d46f configs/cifar100/dkd/"
    found = sources(run_of("dkd"))
    assert found["loss"] == "Zhao et al. 2022, arXiv 2203.08679"
    assert found["loss.beta"] == f"{place}res56_res20.yaml"
    assert found["loss.alpha"] == found["loss.temperature"] == f"{place}res32x4_res8x4.yaml"
    log = "logit-standardization-KD@f6e5aa5 logs/KD/kd,vgg13,vgg8,3,9.txt"
    found = sources(run_of("kd+ls", pair="vgg13:vgg8"))
    assert found["loss"] == "Sun et al. 2024, arXiv 2403.01427"
    assert found["loss.loss"] == "Hinton et al. 2015, arXiv 1503.02531"
    assert found["loss.loss.temperature"] == found["loss.loss.kd_weight"] == log
    assert found["loss.loss.ce_weight"] == "RepDistiller@b84f547 scripts/run_cifar_distill.sh"


def test_a_pair_without_a_configuration_tells_the_reason() -> None:
    why = "unknown: pair without a released configuration; "
    found = sources(run_of("dkd", pair="ResNet50:vgg8"))
    assert found["loss.beta"] == f"{why}cfg.py's default"
    found = sources(run_of("catkd", pair="ResNet50:vgg8"))
    for name in ("cam_weight", "resolution", "normalize"):
        assert found[f"loss.{name}"] == f"{why}cfg.py's default"


def test_standardised_logits_tell_both_sources() -> None:
    run = run_of("dkd+ls")
    assert isinstance(run.loss, Standardized)
    found = sources(run)
    lskd, place = "logit-standardization-KD@f6e5aa5 tools/train.py", "mdistiller@a08d46f"
    beta = f"{place} configs/cifar100/dkd/res56_res20.yaml"
    assert found["loss.loss.beta"] == f"{lskd}; 2.0: {beta}"
    assert found["loss.loss.ce_weight"] == f"{place} configs/cifar100/dkd/res32x4_res8x4.yaml"


def test_the_parts_of_a_sum_have_their_own_sources() -> None:
    found = sources(run_of("dkd+cmkd"))
    alone = sources(run_of("dkd")), sources(run_of("cmkd"))
    assert found["loss"] == "the terms of all, cross-entropy once"
    for i, part in enumerate(alone):
        for name, source in part.items():
            if name.startswith("loss"):
                assert found[name.replace("loss", f"loss.losses[{i}]", 1)] == source


def test_our_reading_tells_what_is_open_and_the_ablation_that_varies_it() -> None:
    found = sources(run_of("cmkd"))
    assert found["loss.weighting"] == (
        "unknown: the abstract: weights adjusted dynamically; ablation: fixed rows"
    )
    assert found["loss.soft_rank.tau"].endswith("cheapest; ablation: l2-rank rows")
    assert found["loss.ce_weight"] == "unknown: as in DIST"


def test_a_row_of_the_ablation_is_named_where_it_differs() -> None:
    found, reading = sources(run_of("cmkd/reversed")), sources(run_of("cmkd"))
    changed = {name for name in found if found[name] != reading[name]}
    assert changed == {"loss.hard_samples_lean_on"}
    assert found["loss.hard_samples_lean_on"] == "the row cmkd/reversed"
    found = sources(run_of("cmkd/l2-rank-1"))
    assert found["loss.soft_rank"] == found["loss.soft_rank.eps"] == "the row cmkd/l2-rank-1"


def test_a_teacher_has_no_teacher() -> None:
    run = run_of("kd", QUICK)
    assert run.teacher is not None
    found = {row.name: row for row in rows(run.teacher, QUICK, {}, "nowhere")}
    assert found["teacher"].value == "none"
    assert (found["stream.epochs"].value, found["stream.epochs"].source) == (
        10,
        "profile quick; the recipe: 240",
    )
    assert found["loss.ce_weight"].source == "RepDistiller@b84f547 train_teacher.py"


def test_a_method_that_the_literature_does_not_list_shows_a_dash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(paper_methods.METHODS, "dist")
    found = sources(run_of("dist"))
    assert {source for name, source in found.items() if name.startswith("loss")} == {"-"}


def test_what_is_known_beforehand_comes_first_and_what_nothing_gives_last() -> None:
    run = replace(run_of("kd"), precision="bf16")
    run = replace(run, optim=replace(run.optim, lr=0.3))
    found = {row.name: row for row in rows(run, PAPER, {"precision": "asked"}, "as recorded")}
    assert found["precision"][1:] == ("bf16", "asked")
    assert found["optim.lr"][1:] == (0.3, "as recorded")
    assert found["optim.momentum"].source == TRAIN
