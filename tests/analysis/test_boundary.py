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
        assert row["margin"] == pytest.approx(margin(models[row["name"]], x1, x2), rel=1e-2)


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


def test_summary_counts_infinite_margins_apart():
    frame = pd.DataFrame(
        {
            **{"name": "kd", "triplet": range(3), "fragmentation": [3, 4, 5]},
            **{"ambiguity": 0.1, "agreement": 0.9, "margin": [1.0, 3.0, math.inf]},
        }
    )
    rows = plane_summary(frame, seed=0).set_index("number")
    assert rows.loc["fragmentation", "mean"] == 4
    assert rows.loc["margin", ["mean", "planes", "infinite"]].tolist() == [2, 2, 1]
    lost = plane_summary(frame.assign(margin=math.inf), seed=0).set_index("number")
    assert math.isnan(lost.loc["margin", "mean"])
