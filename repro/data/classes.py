"""What the classes of a dataset are called, without its images."""

from repro.data.cifar100_names import CLASSES, SUPERCLASS_OF
from repro.errors import choose

CLASS_NAMES = {"cifar100": CLASSES, "digits": tuple(str(digit) for digit in range(10))}
SUPERCLASSES_OF = {"cifar100": SUPERCLASS_OF}  # by class; other datasets have none


def class_names(dataset: str) -> tuple[str, ...]:
    """In the order of the labels. Raises UserError for an unknown dataset."""
    if dataset not in CLASS_NAMES:
        raise choose("dataset", dataset, CLASS_NAMES)
    return CLASS_NAMES[dataset]


def superclass_of(dataset: str) -> tuple[int, ...]:
    """The superclass of each class; empty where there are none."""
    return SUPERCLASSES_OF.get(dataset, ())
