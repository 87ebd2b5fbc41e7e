import dataclasses
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from repro.data import cifar100
from repro.data.cifar100 import Release
from tests.data import fake


class FakeCifar(NamedTuple):
    """A small release, and a folder that holds it imported."""

    arrays: dict[str, np.ndarray]
    release: Release
    data_dir: Path


@pytest.fixture
def small(tmp_path: Path) -> FakeCifar:
    made = fake.arrays()
    source = fake.write_npz(tmp_path / "source.npz", made)
    path = cifar100.import_path(source, tmp_path / "data", fake.release(made))
    release = dataclasses.replace(fake.release(made), sha256=fake.sha256(path))
    return FakeCifar(made, release, path.parent)


@pytest.fixture(scope="session")
def cifar100_source() -> Path:
    """The real data: an .npz or a folder in the released layout."""
    if not os.environ.get("REPRO_CIFAR100"):
        pytest.skip("REPRO_CIFAR100 names no .npz and no folder")
    return Path(os.environ["REPRO_CIFAR100"])


@pytest.fixture(scope="session")
def cifar100_dir(cifar100_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the real data imported."""
    return cifar100.import_path(cifar100_source, tmp_path_factory.mktemp("cifar100")).parent
