import functools
from pathlib import Path

import pytest

from repro import cli, launch
from repro import request as asking
from repro.data import cifar100


@pytest.fixture(autouse=True)
def no_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No CIFAR-100 anywhere; returns the folder where it would be kept."""
    monkeypatch.delenv("REPRO_CIFAR100", raising=False)
    monkeypatch.setenv("COLUMNS", "120")  # tables are as wide as the terminal
    directory = tmp_path / "checkout" / "data"
    monkeypatch.setattr(cli, "ROOT", directory.parent)
    asked = functools.partial(asking.request_of, data_dir=directory)
    monkeypatch.setattr(asking, "request_of", asked)
    monkeypatch.setattr(launch, "fetch", functools.partial(cifar100.fetch, download=no_network))
    return directory


def no_network(_folder: Path) -> Path:
    raise ConnectionError("no network")


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A runs directory that does not exist."""
    return tmp_path / "elsewhere"
