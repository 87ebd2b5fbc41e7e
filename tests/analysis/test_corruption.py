"""Corrupted images: hand cases, the same bits again, the same for every network."""

import io

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn

from repro.analysis.answers import Normalisation
from repro.analysis.corruption import (
    CLEAN,
    CORRUPTIONS,
    SEVERITIES,
    corrupt,
    corrupted_sets,
    corruption_accuracy,
    mean_corrupted,
    sampled,
)
from repro.errors import UserError
from repro.outputs import Outputs
from tests.analysis.conftest import LinearNetwork

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)
TO = Normalisation(mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.25))


def distance(images: np.ndarray) -> float:
    return float(np.abs(images.astype(int) - smooth().astype(int)).mean())


def smooth() -> np.ndarray:
    """Images as of a camera: neighbours are alike."""
    wide = ndimage.gaussian_filter(IMAGES.astype(float), (0, 2, 2, 0))
    return ((wide - wide.min()) / (wide.max() - wide.min()) * 200 + 20).astype(np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_keeps_shape_and_type_and_hurts_more_with_each_severity(name):
    found = [corrupt(smooth(), name, severity=s, seed=0) for s in SEVERITIES]
    assert all(x.shape == IMAGES.shape and x.dtype == np.uint8 for x in found)
    hurt = [distance(x) for x in found]
    assert hurt == sorted(hurt)
    assert hurt[0] > 0


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_seed_gives_the_same_bits_whatever_else_is_corrupted(name):
    before = IMAGES.copy()
    first = corrupt(IMAGES, name, severity=3, seed=1)
    assert np.array_equal(first, corrupt(IMAGES, name, severity=3, seed=1))
    assert np.array_equal(first[:2], corrupt(IMAGES[:2], name, severity=3, seed=1))
    assert np.array_equal(IMAGES, before)
    other = corrupt(IMAGES, name, severity=3, seed=2)
    assert np.array_equal(first, other) == (name not in ("noise", "elastic"))


def test_noise_has_its_standard_deviation_and_differs_by_image():
    grey = np.full((20, 32, 32, 3), 128, np.uint8)
    noise = corrupt(grey, "noise", severity=5, seed=0).astype(float) - 128
    assert noise.std() == pytest.approx(0.10 * 255, rel=0.01)
    assert abs(noise.mean()) < 0.2
    assert np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1] == pytest.approx(0, abs=0.06)


def test_severities_of_noise_are_the_same_noise():
    grey = np.full((1, 32, 32, 3), 128, np.uint8)
    weak, strong = (corrupt(grey, "noise", severity=s, seed=0).astype(float) - 128 for s in (1, 5))
    assert np.corrcoef(weak.ravel(), strong.ravel())[0, 1] > 0.99


def test_brightness_and_contrast_by_hand():
    image = np.array([[[0, 100, 250]], [[40, 100, 250]]], np.uint8)[None]  # [1, 2, 1, 3]
    brighter = corrupt(image, "brightness", severity=3, seed=0)  # 0.15 * 255 = 38.25
    assert brighter.ravel().tolist() == [38, 138, 255, 78, 138, 255]
    flat = corrupt(image, "contrast", severity=2, seed=0)  # factor 0.6 about 20, 100, 250
    assert flat.ravel().tolist() == [8, 100, 250, 32, 100, 250]


def test_blur_leaves_one_colour_and_spreads_a_point_evenly():
    black = np.zeros((1, 9, 9, 1), np.uint8)
    assert not corrupt(black, "blur", severity=5, seed=0).any()
    black[0, 4, 4] = 255
    found = corrupt(black, "blur", severity=4, seed=0)[0, :, :, 0]
    assert np.array_equal(found, found.T)
    assert np.array_equal(found, found[::-1])
    weight = ndimage.gaussian_filter1d(np.eye(9)[4], 1.0)[4]  # severity 4: sigma of 1 pixel
    assert found[4, 4] == round(255 * weight**2)


def test_jpeg_is_what_pillow_reads_back():
    found = corrupt(IMAGES, "jpeg", severity=3, seed=0)
    buffer = io.BytesIO()
    Image.fromarray(IMAGES[4]).save(buffer, "JPEG", quality=45, subsampling=2)
    assert np.array_equal(found[4], np.asarray(Image.open(buffer)))


def test_displaced_reading_equals_scipy():
    generator = np.random.default_rng(3)
    images = generator.random((3, 7, 9, 2), np.float32)
    displacement = generator.normal(0, 3, (3, 2, 7, 9)).astype(np.float32)
    found = sampled(images, displacement)
    for i in range(3):
        places = np.indices((7, 9)) + displacement[i]
        for c in range(2):
            expected = ndimage.map_coordinates(images[i, :, :, c], places, order=1, mode="nearest")
            assert found[i, :, :, c] == pytest.approx(expected, abs=1e-5)


def test_no_displacement_reads_the_image_itself():
    images = IMAGES.astype(np.float32)
    assert np.array_equal(sampled(images, np.zeros((6, 2, 8, 8), np.float32)), images)


@pytest.mark.parametrize(
    ("images", "name", "severity", "words"),
    [
        (IMAGES, "fog", 1, "unknown corruption 'fog'; known: noise, blur"),
        (IMAGES, "noise", 6, "severity must be one of 1 to 5, not 6"),
        (IMAGES, "noise", 0, "severity must be one of 1 to 5, not 0"),
        (IMAGES.astype(float), "noise", 1, r"\[N, H, W, C\] uint8"),
        (IMAGES[0], "noise", 1, r"\[N, H, W, C\] uint8"),
        (IMAGES[:0], "noise", 1, r"\[N, H, W, C\] uint8"),
    ],
)
def test_what_cannot_be_corrupted_is_refused(images, name, severity, words):
    with pytest.raises(UserError, match=words):
        corrupt(images, name, severity=severity, seed=0)


class Bright(nn.Module):
    """Class 1 where the mean of the normalised image is above 0."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, images: Tensor) -> Outputs:
        mean = images.mean(dim=(1, 2, 3))
        return Outputs(torch.stack([-mean, mean], dim=1))


def test_accuracy_by_hand_of_a_network_that_sees_brightness():
    to = Normalisation(mean=(0.5,) * 3, std=(0.2,) * 3)
    levels = np.array([20, 100, 120, 200], np.uint8)
    images = np.tile(levels[:, None, None, None], (1, 8, 8, 3))
    rows = corruption_accuracy([("k", Bright())], images, labels=[0, 0, 0, 1], to=to)
    top1 = rows.set_index(["corruption", "severity"])["top1"]
    assert top1[CLEAN] == 100
    # 127.5 is the border: 120 crosses it from 0.05 * 255 on, 100 from 0.15 * 255 = 38 on
    assert [top1["brightness", s] for s in SEVERITIES] == [75, 75, 50, 50, 50]
    assert [top1["contrast", s] for s in SEVERITIES] == [100] * 5
    assert set(rows["images"]) == {4}
    assert len(rows) == 1 + 6 * 5


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {name: LinearNetwork(5, size=8) for name in "abc"}


def test_the_order_of_networks_does_not_matter_and_bits_are_the_same_again():
    nets, labels = networks(), [0, 1, 2, 3, 4, 0]
    first = corruption_accuracy(nets.items(), IMAGES, labels=labels, to=TO)
    again = corruption_accuracy(reversed(nets.items()), IMAGES, labels=labels, to=TO)
    by = ["key", "corruption", "severity"]
    pd.testing.assert_frame_equal(
        first.sort_values(by, ignore_index=True), again.sort_values(by, ignore_index=True)
    )
    assert first["top1"].nunique() > 1


def test_sets_are_of_the_images_given():
    sets = corrupted_sets(IMAGES, seed=0)
    assert len(sets) == 31
    assert np.array_equal(sets[CLEAN].numpy(), IMAGES)
    expected = corrupt(IMAGES, "elastic", severity=2, seed=0)
    assert np.array_equal(sets["elastic", 2].numpy(), expected)


def test_the_mean_is_over_types_and_severities_and_the_drop_is_from_clean():
    rows = pd.DataFrame(
        {
            "key": ["a"] * 3 + ["b"] * 2,
            "corruption": ["clean", "noise", "blur", "clean", "noise"],
            "top1": [90.0, 60.0, 70.0, 80.0, 80.0],
        }
    )
    table = mean_corrupted(rows, ["key"]).set_index("key")
    assert table.loc["a"].tolist() == [90, 65, 25]
    assert table.loc["b"].tolist() == [80, 80, 0]
