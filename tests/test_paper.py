"""The facts: each number has its place, each open question its ablation."""

import dataclasses
from typing import Any

import pytest

from repro import paper
from repro.errors import UserError
from repro.grid import expand, loss_for
from repro.losses import CMKD, SigmoidRank
from repro.models import MODELS
from repro.paper import Fact, Unknown
from repro.profiles import PROFILES
from repro.variants import ablation_rows, cmkd_reading

ALL_PAIRS = {
    *paper.SAME_ARCHITECTURE,
    *paper.DIFFERENT_ARCHITECTURE,
    *paper.STRONGER_TEACHERS,
    paper.ABLATION_PAIR,
}


def test_the_pairs_are_the_twelve_of_the_crd_benchmark() -> None:
    same = ["56:20", "110:32", "32x4:8x4"]
    expected = {tuple(f"resnet{depth}" for depth in pair.split(":")) for pair in same}
    expected |= {("wrn_40_2", "wrn_16_2"), ("wrn_40_2", "wrn_40_1"), ("vgg13", "vgg8")}
    assert set(paper.SAME_ARCHITECTURE) == expected
    assert set(paper.DIFFERENT_ARCHITECTURE) == {
        ("vgg13", "MobileNetV2"),
        ("ResNet50", "MobileNetV2"),
        ("ResNet50", "vgg8"),
        ("resnet32x4", "ShuffleV1"),
        ("resnet32x4", "ShuffleV2"),
        ("wrn_40_2", "ShuffleV1"),
    }
    assert len(paper.SAME_ARCHITECTURE) == len(paper.DIFFERENT_ARCHITECTURE) == 6


def test_eleven_pairs_have_ever_stronger_teachers() -> None:
    by_student: dict[str, list[str]] = {}
    for teacher, student in paper.STRONGER_TEACHERS:
        by_student.setdefault(student, []).append(teacher)
    assert by_student == {
        "wrn_16_2": [
            "wrn_28_2",
            "wrn_40_2",
            "wrn_16_4",
            "wrn_28_4",
            "vgg13",
            "resnet32x4",
            "ResNet50",
        ],
        "resnet20": ["resnet32", "resnet44", "resnet56", "resnet110"],
    }


def test_every_network_of_a_pair_exists() -> None:
    assert {network for pair in ALL_PAIRS for network in pair} <= MODELS.keys()
    assert set(paper.LIGHT_NETWORKS) <= MODELS.keys()


def test_every_fact_has_a_place_and_every_unknown_a_reason() -> None:
    values = [value for value in vars(paper).values() if isinstance(value, Fact | Unknown)]
    values += [*paper.CMKD.values()]
    assert len(values) > 20
    for value in values:
        if isinstance(value, Fact):
            assert "@" in value.source, value  # a repository at a commit
            assert "." in value.source.partition(" ")[2], value  # and a file in it
        else:
            assert len(value.why) > 5, value
            assert value.ablation, value


def test_the_open_questions_are_the_fields_of_the_loss() -> None:
    fields = {field.name for field in dataclasses.fields(CMKD)}
    # spearman_share is read by fixed weights only, which our reading is not
    assert paper.CMKD.keys() - {"soft_rank_tau"} == fields - {"soft_rank", "spearman_share"}


def test_our_reading_is_the_default_of_the_loss() -> None:
    assert cmkd_reading() == CMKD()


def varying(name: str) -> list[str]:
    """Ablation rows whose loss differs from our reading in that field."""
    name = "soft_rank" if name == "soft_rank_tau" else name
    rows, reading = ablation_rows(), cmkd_reading()
    return [row for row, loss in rows.items() if getattr(loss, name) != getattr(reading, name)]


@pytest.mark.parametrize("name", paper.CMKD)
def test_an_open_question_names_ablation_rows_that_vary_it(name: str) -> None:
    ablation = paper.CMKD[name].ablation
    if ablation == "none":
        assert varying(name) == []
    elif ablation.endswith(" rows"):
        assert len(varying(name)) > 1
    else:
        assert f"cmkd/{ablation}" in varying(name)


def test_difficulty_and_soft_rank_rows_cover_their_alternatives() -> None:
    rows = ablation_rows()
    assert {rows[row].difficulty for row in varying("difficulty")} == {  # type: ignore[attr-defined]
        "teacher_entropy",
        "label_probability",
        "teacher_cross_entropy",
        "student_entropy",
    }
    assert {repr(rows[row].soft_rank) for row in varying("soft_rank_tau")} == {  # type: ignore[attr-defined]
        "L2Rank(eps=0.1)",
        "L2Rank(eps=1.0)",
    }


OTHER_VALUES: dict[str, Any] = {
    "standardize": False,
    "temperature": 2.0,
    "pearson_input": "logits",
    "rank_input": "probabilities",
    "teacher_rank": "soft",
    "intra_class": True,
    "difficulty": "student_entropy",
    "weighting": "batch_mean",
    "hard_samples_lean_on": "pearson",
    "ce_weight": 0.5,
    "kd_weight": 3.0,
}


def settle(monkeypatch: pytest.MonkeyPatch, name: str, value: Any) -> None:
    monkeypatch.setitem(paper.CMKD, name, dataclasses.replace(paper.CMKD[name], value=value))


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_editing_one_value_changes_the_grid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch, name, OTHER_VALUES[name])
    runs = expand("demo", PROFILES["demo"])
    losses = {run.loss for run in runs if run.method == "cmkd"}
    assert losses == {dataclasses.replace(CMKD(), **{name: OTHER_VALUES[name]})}


def test_editing_the_softness_of_ranks_changes_the_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch, "soft_rank_tau", 0.3)
    loss = loss_for("cmkd", ("resnet20", "resnet8"), PROFILES["demo"])
    assert loss == CMKD(soft_rank=SigmoidRank(tau=0.3))


def test_an_edited_value_reaches_the_ablation_and_the_standardised_method(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settle(monkeypatch, "kd_weight", 3.0)
    pair, profile = paper.ABLATION_PAIR, PROFILES["paper"]
    assert loss_for("cmkd/reversed", pair, profile).kd_weight == 3.0  # type: ignore[attr-defined]
    assert loss_for("cmkd+ls", pair, profile).loss.kd_weight == 3.0  # type: ignore[attr-defined]


def test_a_value_that_the_loss_does_not_know_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch, "difficulty", "hard")
    with pytest.raises(UserError, match=r"CMKD.difficulty must be one of teacher_entropy_rank, "):
        expand("demo", PROFILES["demo"])


def test_there_are_seven_claims() -> None:
    assert [claim.name for claim in paper.CLAIMS] == ["C1", "C2", "C3", "C4", "C5", "C6", "C7"]
    assert len({claim.text for claim in paper.CLAIMS}) == 7


def test_every_claim_has_a_smallest_effect_of_interest() -> None:
    claims = {claim.name for claim in paper.CLAIMS}
    assert {name.partition(" ")[0] for name in paper.EFFECTS} == claims
    for effect in (*paper.EFFECTS.values(), *paper.MARGINS.values()):
        assert effect.value > 0
        assert effect.unit
        assert effect.why


def test_the_sizes_fixed_before_the_runs() -> None:
    """A change of one moves verdicts that are already printed."""
    assert {name: effect.value for name, effect in paper.EFFECTS.items()} == {
        "C1": 0.05,
        "C2": 0.05,
        "C3": 0.05,
        "C4 cell": 0.3,
        "C4 pairs": 0.2,
        "C5": 0.2,
        "C6": 0.2,
        "C7": 0.5,
    }
    margins = [paper.MARGINS[name].value for name in ("runs stated", "runs unknown", "table")]
    assert margins == [0.5, 0.8, 0.3]
