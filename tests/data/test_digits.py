import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from repro.data import digits


@pytest.fixture(scope="module")
def dataset():
    return digits.load()


def test_counts(dataset):
    assert (len(dataset.train), len(dataset.test)) == (1297, 500)
    assert torch.bincount(dataset.test.labels).tolist() == [50] * 10
    every = torch.bincount(dataset.train.labels) + 50
    assert every.tolist() == np.bincount(load_digits().target).tolist()
    assert dataset.class_names == tuple("0123456789")
    assert dataset.superclass_of == ()


def test_pixels_are_grey_and_span_the_range(dataset):
    pixels = dataset.train.pixels
    assert pixels.dtype == torch.uint8
    assert pixels.shape[1:] == (16, 16, 3)
    assert torch.equal(pixels[..., :1].expand_as(pixels), pixels)
    assert set(pixels.unique().tolist()) == {round(v * 255 / 16) for v in range(17)}


def test_upscaling_is_nearest_neighbour():
    values = torch.from_numpy(load_digits().images)
    large = digits.upscale(values)
    for row, column in [(0, 0), (1, 1), (2, 1), (15, 15), (9, 12)]:
        expected = [round(v * 255 / 16) for v in values[:, row // 2, column // 2].tolist()]
        assert large[:, row, column, 2].tolist() == expected


def test_every_source_image_is_there_once(dataset):
    both = torch.cat([dataset.train.pixels, dataset.test.pixels])[:, ::2, ::2, 0]
    labels = torch.cat([dataset.train.labels, dataset.test.labels])
    source = load_digits()
    found = sorted((int(n), p.numpy().tobytes()) for n, p in zip(labels, both, strict=True))
    values = np.round(source.images * 255 / 16).astype(np.uint8)
    expected = sorted((int(n), v.tobytes()) for n, v in zip(source.target, values, strict=True))
    assert found == expected


def test_statistics_are_those_of_the_training_pixels(dataset):
    scaled = dataset.train.pixels.numpy() / 255
    assert np.allclose(dataset.mean, scaled.mean(axis=(0, 1, 2)), atol=1e-12)
    assert np.allclose(dataset.std, scaled.std(axis=(0, 1, 2)), atol=1e-12)


def test_loading_twice_gives_the_same(dataset):
    assert torch.equal(digits.load().train.pixels, dataset.train.pixels)
