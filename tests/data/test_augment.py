import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from repro.data.augment import crop_flip, normalise, pad
from repro.data.dataset import Images
from repro.data.torchvision_cure import import_torchvision
from tests.data import fake

MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
ALL_VIEWS = list(itertools.product(range(9), range(9), (False, True)))


def reference(pixels: np.ndarray, offset: tuple[int, int], flip: bool) -> torch.Tensor:
    """One image the usual way: PIL and torchvision's transforms; [3, S, S]."""
    import_torchvision()
    from torchvision.transforms import functional as tv

    image = tv.crop(tv.pad(Image.fromarray(pixels), 4, fill=0), *offset, *pixels.shape[:2])
    image = tv.hflip(image) if flip else image
    return tv.normalize(tv.to_tensor(image), MEAN, STD)


def augmented(images, indices, offsets, flips):
    pixels = crop_flip(pad(images.pixels), indices, offsets, flips)
    return normalise(pixels, torch.tensor(MEAN), torch.tensor(STD))


@pytest.mark.parametrize("side", [32, 16])
def test_all_162_views_equal_torchvision_bit_for_bit(side: int):
    images = fake.images(7)
    images = Images(images.pixels[:, :side, :side].contiguous(), images.labels)
    indices = torch.arange(len(ALL_VIEWS)) % 7
    offsets = torch.tensor([view[:2] for view in ALL_VIEWS])
    flips = torch.tensor([view[2] for view in ALL_VIEWS])
    found = augmented(images, indices, offsets, flips)
    for i, (row, column, flip) in enumerate(ALL_VIEWS):
        expected = reference(images.pixels[i % 7].numpy(), (row, column), flip)
        assert torch.equal(found[i], expected)


def test_normalising_equals_torchvision_for_every_pixel_value():
    import_torchvision()
    from torchvision.transforms import functional as tv

    pixels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).repeat(1, 1, 1, 3)
    expected = tv.normalize(tv.to_tensor(pixels[0].numpy()), MEAN, STD)
    assert torch.equal(normalise(pixels, torch.tensor(MEAN), torch.tensor(STD))[0], expected)


def test_images_come_in_the_channels_last_memory_format():
    found = normalise(fake.images(5).pixels, torch.tensor(MEAN), torch.tensor(STD))
    assert found.shape == (5, 3, 32, 32)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_padding_is_black_before_normalising():
    images = fake.images(1)
    images.pixels.fill_(255)
    corner = augmented(images, torch.tensor([0]), torch.tensor([[0, 0]]), torch.tensor([False]))
    black = (torch.zeros(3) - torch.tensor(MEAN)) / torch.tensor(STD)
    assert torch.equal(corner[0, :, 0, 0], black)
    assert torch.equal(corner[0, :, 3, 31], black)
    assert (corner[0, :, 4, 4] > black).all()


def test_padding_keeps_the_images_and_nothing_else():
    pixels = fake.images(3).pixels
    padded = pad(pixels, 2)
    assert padded.shape == (3, 36, 36, 3)
    assert torch.equal(padded[:, 2:-2, 2:-2], pixels)
    assert padded.sum(dtype=torch.int64) == pixels.sum(dtype=torch.int64)


def test_the_inputs_are_left_as_they_were():
    images = fake.images(2)
    padded = pad(images.pixels)
    before = padded.clone()
    pixels = crop_flip(padded, torch.tensor([1]), torch.tensor([[4, 4]]), torch.tensor([False]))
    normalise(pixels, torch.tensor(MEAN), torch.tensor(STD))
    assert torch.equal(pixels[0], images.pixels[1])
    assert torch.equal(padded, before)
