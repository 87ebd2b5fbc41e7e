"""What is said of a dataset without loading it is so."""

import pytest

from repro.data import sizes
from repro.models import CIFAR_SIDE
from tests import tiny
from tests.data import fake


def test_digits_are_as_the_sizes_say() -> None:
    digits = tiny.digits()
    assert sizes.NUM_CLASSES["digits"] == len(digits.class_names)
    assert sizes.NUM_IMAGES["digits"] == (len(digits.train), len(digits.test))
    for images in (digits.train, digits.test):
        assert images.pixels.shape[1:3] == (sizes.SIDE["digits"],) * 2


def test_cifar_is_as_the_sizes_say() -> None:
    side = sizes.SIDE["cifar100"]
    assert fake.images(1).pixels.shape[1:3] == (side, side)
    assert side == CIFAR_SIDE


def test_every_dataset_has_every_size() -> None:
    assert sizes.SIDE.keys() == sizes.NUM_CLASSES.keys() == sizes.NUM_IMAGES.keys()


@pytest.mark.parametrize("dataset", ["cifar100", "digits"])  # those with a second view
def test_sides_are_powers_of_two(dataset: str) -> None:
    """What ReviewKD's pyramid of means takes for granted."""
    side = sizes.SIDE[dataset]
    assert side & (side - 1) == 0
