"""A folder of images in ImageNet's layout, made of the two photographs that scikit-learn ships.

Each class is a place in one of the photographs: its images are crops around it.
``python -m tests.photographs FOLDER`` writes one.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

PLACES = {  # class -> photograph, row, column of the middle
    "dahlia": (1, 210, 320),
    "leaves": (1, 60, 90),
    "roof": (0, 130, 200),
    "sky": (0, 40, 500),
    "trees": (0, 330, 90),
    "wall": (0, 300, 480),
}
SIDE = 90  # pixels of an image, from 64 up


def write(root: Path, *, train: int = 20, val: int = 10, classes: int = len(PLACES)) -> Path:
    """``train`` and ``val`` JPEGs a class below ``root``; the same bytes for the same arguments."""
    pictures = load_sample_images().images
    random = np.random.default_rng(0)
    for name, (picture, row, column) in list(PLACES.items())[:classes]:
        for split, count in (("train", train), ("val", val)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                down, right = random.integers(-30, 31, 2)
                top = int(np.clip(row + down - SIDE // 2, 0, 427 - SIDE))
                left = int(np.clip(column + right - SIDE // 2, 0, 640 - SIDE))
                pixels = pictures[picture][top : top + SIDE, left : left + SIDE]
                Image.fromarray(pixels).save(folder / f"{name}_{i:03d}.jpg", quality=90)
    return root


if __name__ == "__main__":
    write(Path(sys.argv[1]))
