import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from repro.analysis.boundary import (
    agreement,
    ambiguity,
    bootstrap_interval,
    fragmentation,
    plane_numbers,
    plane_summary,
)
from repro.analysis.planes import evaluate_plane, make_plane, margin, random_triplets
from repro.errors import UserError
from tests.analysis.conftest import LinearNetwork


@pytest.mark.parametrize(
    ("drawing", "regions"),
    [
        (["aaa", "aaa", "aaa"], 1),
        (["aab", "aab", "bbb"], 2),
        (["abb", "bab", "bba"], 2),  # a touches itself diagonally, and so does b across it
        (["aba", "bbb", "aba"], 5),
        (["abab", "baba", "abab", "baba"], 2),  # checkerboard: each colour connects diagonally
        (["abc", "bca", "cab"], 5),  # a: corner, pair; b: diagonal, corner; c: antidiagonal
    ],
)
def test_fragmentation_of_hand_drawn_grids(drawing, regions):
    grid = np.array([[ord(c) for c in row] for row in drawing])
    assert fragmentation(grid) == regions


def test_ambiguity_by_hand():
    probabilities = np.array([[[0.5, 0.45, 0.05], [0.8, 0.1, 0.1]], [[0.4, 0.2, 0.4], [0, 0, 1]]])
    assert ambiguity(probabilities) == 0.5
    assert ambiguity(probabilities, gap=0.01) == 0.25


def test_agreement_by_hand():
    assert agreement([[0, 1], [2, 3]], [[0, 1], [2, 0]]) == 0.75


@pytest.fixture
def world():
    torch.manual_seed(0)
    images = torch.randn(30, 3, 4, 4)
    models = {name: LinearNetwork(5) for name in ("teacher", "kd")}
    return models, images, random_triplets(np.repeat(np.arange(5), 6), 9, seed=0)


def test_plane_numbers_equal_one_plane_at_a_time(world):
    models, images, triplets = world
    frame = plane_numbers(models, images, triplets, resolution=50)  # 8 planes a chunk, then 1
    assert len(frame) == 2 * 9
    for row in frame.to_dict("records"):
        x1, x2, x3 = images[list(triplets[row["triplet"]])]
        grids = {
            n: evaluate_plane(m, make_plane(x1, x2, x3), resolution=50) for n, m in models.items()
        }
        labels = {name: grid.argmax(axis=-1) for name, grid in grids.items()}
        assert row["fragmentation"] == fragmentation(labels[row["name"]])
        assert row["ambiguity"] == pytest.approx(ambiguity(grids[row["name"]]), abs=1e-3)
        expected = agreement(labels[row["name"]], labels["teacher"])
        assert row["agreement"] == pytest.approx(expected, abs=1e-3)
        longest, found = float((x2 - x1).norm()), margin(models[row["name"]], x1, x2)
        assert row["margin"] == pytest.approx(min(found, longest), rel=1e-2)
        assert row["censored"] == math.isinf(found)


def test_the_teacher_agrees_with_itself(world):
    frame = plane_numbers(*world, resolution=10)
    assert (frame[frame["name"] == "teacher"]["agreement"] == 1).all()
    assert (frame[frame["name"] == "kd"]["agreement"] < 1).any()


def test_agreement_needs_a_teacher(world):
    models, images, triplets = world
    with pytest.raises(UserError, match="named 'teacher'"):
        plane_numbers({"kd": models["kd"]}, images, triplets)


def test_bootstrap_is_seeded_and_near_the_normal_interval():
    values = np.random.default_rng(0).normal(3, 1, size=500)
    mean, low, high = bootstrap_interval(values, seed=1)
    assert (mean, low, high) == bootstrap_interval(values, seed=1)
    half = stats.norm.ppf(0.975) * stats.sem(values)
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.02)


class OneClass(LinearNetwork):
    """Predicts class 0 everywhere."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        torch.nn.init.zeros_(self.classifier.weight)
        torch.nn.init.zeros_(self.classifier.bias)


def test_a_prediction_that_never_changes_counts_as_the_distance_between_the_images(world):
    models, images, triplets = world
    frame = plane_numbers(models | {"kd": OneClass(5)}, images, triplets, resolution=10)
    found = frame[frame["name"] == "kd"]
    distances = [(images[j] - images[i]).norm().item() for i, j, _ in triplets]
    assert found["margin"].tolist() == pytest.approx(distances, rel=1e-5)
    assert found["censored"].dtype == bool
    assert found["censored"].all()
    assert plane_summary(frame, seed=0).set_index(["name", "number"]).loc[
        ("kd", "margin"), ["mean", "censored", "planes"]
    ].tolist() == pytest.approx([np.mean(distances), 1.0, len(triplets)], rel=1e-5)


def measured(**margins: list[float]) -> pd.DataFrame:
    """A row a (network, plane), whose margin is at its limit from 5.0 on."""
    return pd.DataFrame(
        [
            {"name": name, "triplet": i, "fragmentation": 3 + i, "ambiguity": 0.1}
            | {"agreement": 0.9, "margin": margin, "censored": margin >= 5}
            for name, values in margins.items()
            for i, margin in enumerate(values)
        ]
    )


def test_every_network_keeps_all_planes_and_tells_its_share_of_censored_ones():
    rows = plane_summary(measured(teacher=[1.0, 3.0, 5.0, 5.0], kd=[1.0, 1.0, 1.0, 5.0]), seed=0)
    margins = rows[rows["number"] == "margin"].set_index("name")
    assert margins["mean"].tolist() == [3.5, 2.0]
    assert margins["censored"].tolist() == [0.5, 0.25]
    assert set(rows["planes"]) == {4}
    assert rows[rows["number"] != "margin"]["censored"].isna().all()
    assert rows["mean"].tolist()[0] == 4.5  # fragmentation of 3, 4, 5, 6


def test_differences_to_kd_are_paired_by_plane():
    values = np.random.default_rng(0).uniform(1, 4, size=(2, 40))
    frame = measured(teacher=values[0], cmkd=values[0] + 0.5, kd=values[0], dkd=values[1])
    shuffled = frame.sample(frac=1, random_state=0)
    for numbers in (frame, shuffled):
        rows = plane_summary(numbers, seed=0).set_index(["number", "name"]).loc["margin"]
        found = rows[["minus_kd", "minus_kd_low", "minus_kd_high"]]
        assert found.loc["cmkd"].tolist() == pytest.approx([0.5, 0.5, 0.5])
        assert rows.loc["cmkd", "high"] - rows.loc["cmkd", "low"] > 0.3
        expected = bootstrap_interval(values[1] - values[0], seed=0)
        assert found.loc["dkd"].tolist() == pytest.approx(expected)
        assert found.loc[["teacher", "kd"]].isna().all(axis=None)


def test_without_kd_there_is_no_difference_to_it():
    rows = plane_summary(measured(teacher=[1.0, 2.0], cmkd=[1.0, 2.0]), seed=0)
    assert rows["minus_kd"].isna().all()
