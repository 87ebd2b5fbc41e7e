"""How many classes and images the datasets have, and how large, without loading them."""

from repro.data.dataset import HELD_OUT
from repro.spec import NUM_CLASSES as NUM_CLASSES
from repro.spec import Stream

SIDE = {"cifar100": 32, "digits": 16, "imagenet": 224}  # pixels of an image
NUM_IMAGES = {  # train, test
    "cifar100": (50_000, 10_000),
    "digits": (1_297, 500),
    "imagenet": (1_281_167, 50_000),
}


FOLDERS: dict[str, tuple[int, int]] = {}  # of folders of images that were seen, by fingerprint


def classes_of(stream: Stream) -> int:
    return stream.num_classes


def side_of(stream: Stream) -> int:
    """Pixels of an image as the network sees it."""
    return stream.side or SIDE[stream.dataset]


def images_of(stream: Stream) -> tuple[int, int]:
    """Training images and evaluated images of an epoch (within a few for digits' held-out; of a
    folder of images at most, and of one that this process has not seen those of ImageNet)."""
    train, test = FOLDERS.get(stream.images, NUM_IMAGES[stream.dataset])
    classes = classes_of(stream)
    if stream.split == "tune":
        train, test = train - train // HELD_OUT, train // HELD_OUT
    return (
        classes * stream.train_per_class or train,
        classes * stream.test_per_class or test,
    )
