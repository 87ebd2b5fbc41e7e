"""Scikit-learn's handwritten digits in the format of CIFAR: small, and no download."""

import torch
from torch import Tensor

from repro.data.classes import CLASS_NAMES
from repro.data.dataset import Dataset, rank_in_class, sort_images

TEST_PER_CLASS = 50  # of 174 to 183 a class
SCALE = 2  # 8 x 8 to 16 x 16: a quarter of CIFAR's work, and as easy to tell apart
WHITE = 16  # the largest value of the source


def load() -> Dataset:
    """1,297 training and 500 test images of 10 classes; always the same ones.

    The values 0..16 become 0..255, a pixel 2 x 2 pixels, grey three equal channels. Test is the
    first 50 of each class in sorted order. Source: UCI "Optical Recognition of Handwritten
    Digits" (Alpaydin and Kaynak 1998), test part, through ``sklearn.datasets.load_digits``.
    """
    from sklearn.datasets import load_digits  # 1 s: only where needed

    source = load_digits()
    pixels = upscale(torch.from_numpy(source.images))
    images = sort_images(pixels, torch.from_numpy(source.target))
    test = rank_in_class(images.labels)[0] < TEST_PER_CLASS
    train = images[~test]
    scaled = train.pixels[..., 0].double() / 255  # the channels are equal
    mean, std = scaled.mean().item(), scaled.std(correction=0).item()
    return Dataset(
        name="digits",
        train=train,
        test=images[test],
        class_names=CLASS_NAMES["digits"],
        superclass_of=(),
        mean=(mean,) * 3,
        std=(std,) * 3,
    )


def upscale(values: Tensor) -> Tensor:
    """[N, 8, 8] in 0..16 to [N, 16, 16, 3] uint8, by nearest neighbour."""
    grey = (values * 255 / WHITE).round().to(torch.uint8)
    large = grey.repeat_interleave(SCALE, dim=1).repeat_interleave(SCALE, dim=2)
    return large[..., None].repeat(1, 1, 1, 3)
