import functools
from contextlib import nullcontext
from pathlib import Path

import pytest

from repro import cli, importing, launch
from repro.data import cifar100
from repro.data.dataset import Dataset
from repro.runtime import RecordsOnly
from tests.cli.conftest import no_network
from tests.importing import made, suites


@pytest.fixture(autouse=True)
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No CIFAR-100 anywhere."""
    monkeypatch.delenv("REPRO_CIFAR100", raising=False)
    monkeypatch.setattr(cli, "ROOT", tmp_path / "checkout")
    monkeypatch.setattr(launch, "fetch", functools.partial(cifar100.fetch, download=no_network))


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A runs directory that does not exist."""
    return tmp_path / "elsewhere"


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A resnet20 that says nothing of its accuracy."""
    path = tmp_path_factory.mktemp("theirs") / "resnet20_last.pth"
    return suites.save(suites.repdistiller("resnet20", opt=suites.options()), path)


@pytest.fixture(scope="session")
def images(checkpoint: Path) -> Dataset:
    """On which that resnet20 has a top-1 of 70 %."""
    return made.dataset(checkpoint, "resnet20", 70.0)


@pytest.fixture
def cifar(images: Dataset, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    """``images`` in the place of CIFAR-100; no MLflow."""
    for module in (importing, launch):
        monkeypatch.setattr(module, "load_datasets", lambda *_: {"cifar100": images})
    monkeypatch.setattr(launch, "tracker_of", lambda *_: nullcontext(RecordsOnly()))
    return images
