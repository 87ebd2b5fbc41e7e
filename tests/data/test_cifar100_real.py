"""Facts of the real CIFAR-100; skipped unless REPRO_CIFAR100 names an .npz or a folder."""

import time

import numpy as np
import pytest
import torch

from repro.data import cifar100, select
from repro.data.cifar100_source import read_source
from repro.spec import Stream
from tests.data import fake

pytestmark = pytest.mark.cifar100

# Computed once from the released files with NumPy in float64, over all training pixels / 255.
TRAIN_MEAN = (0.5070751592371323, 0.48654887331495095, 0.4409178433670343)
TRAIN_STD = (0.2673342858792401, 0.2564384629170883, 0.27615047132568404)


@pytest.fixture(scope="module")
def dataset(cifar100_dir):
    return cifar100.load(cifar100_dir)


def test_the_stored_file_has_its_constants(cifar100_dir):
    path = cifar100_dir / cifar100.FILE
    assert fake.sha256(path) == cifar100.RELEASE.sha256
    report = cifar100.verify(path)
    assert (report["train_images"], report["test_images"]) == (50_000, 10_000)
    for split, expected in cifar100.FINGERPRINTS.items():
        assert report[f"{split}_fingerprint"] == expected


def test_fingerprint_equals_a_slow_computation(dataset):
    found = fake.slow_fingerprint(dataset.test.pixels.numpy(), dataset.test.labels.numpy())
    assert found == cifar100.FINGERPRINTS["test"]


def test_the_other_format_gives_the_same_bytes(cifar100_source, tmp_path):
    arrays = fake.shuffled(read_source(cifar100_source), seed=1)
    if cifar100_source.is_dir():
        other = fake.write_npz(tmp_path / "other.npz", arrays)
    else:
        other = fake.write_folder(tmp_path / "other", arrays, protocol=4)
    path = cifar100.import_path(other, tmp_path / "data")
    assert fake.sha256(path) == cifar100.RELEASE.sha256


def test_loading_takes_less_than_a_second(cifar100_dir):
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        cifar100.load(cifar100_dir)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1


def test_classes_have_500_and_100_images(dataset):
    assert torch.bincount(dataset.train.labels).tolist() == [500] * 100
    assert torch.bincount(dataset.test.labels).tolist() == [100] * 100


def test_channel_statistics(dataset):
    pixels = dataset.train.pixels.view(-1, 3).numpy()
    counts = np.stack([np.bincount(channel, minlength=256) for channel in pixels.T])
    values = np.arange(256) / 255
    mean = counts @ values / counts.sum(axis=1)
    std = np.sqrt(counts @ values**2 / counts.sum(axis=1) - mean**2)
    assert np.abs(mean - TRAIN_MEAN).max() < 1e-6
    assert np.abs(std - TRAIN_STD).max() < 1e-6
    assert np.abs(mean - cifar100.MEAN).max() < 2e-4  # the literature's are rounded, see MEAN
    assert np.abs(std - cifar100.STD).max() < 2e-4


def test_the_held_out_split_has_50_of_each_class(dataset):
    train, held_out = select(dataset, Stream(split="tune"))
    assert torch.bincount(train.labels).tolist() == [450] * 100
    assert torch.bincount(held_out.labels).tolist() == [50] * 100
