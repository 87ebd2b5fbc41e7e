"""How many classes and images the datasets have, and how large, without loading them."""

from repro.data.dataset import HELD_OUT
from repro.spec import Stream

NUM_CLASSES = {"cifar100": 100, "digits": 10}
SIDE = {"cifar100": 32, "digits": 16}  # pixels of an image
NUM_IMAGES = {"cifar100": (50_000, 10_000), "digits": (1_297, 500)}  # train, test


def images_of(stream: Stream) -> tuple[int, int]:
    """Training images and evaluated images of an epoch (within a few for digits' held-out)."""
    train, test = NUM_IMAGES[stream.dataset]
    classes = NUM_CLASSES[stream.dataset]
    if stream.split == "tune":
        train, test = train - train // HELD_OUT, train // HELD_OUT
    return (
        classes * stream.train_per_class or train,
        classes * stream.test_per_class or test,
    )
