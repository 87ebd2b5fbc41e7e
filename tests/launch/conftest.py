import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from repro.profiles import PROFILES
from tests import tiny
from tests.launch.demo_grid import TEACHER, Ran, run_demo


@pytest.fixture(autouse=True, scope="package")
def tiny_demo() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setitem(PROFILES, "demo", tiny.PROFILE)
        yield


@pytest.fixture(scope="package")
def demo(store_template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    """The grid trained at once, and what was said. Read only."""
    directory = tmp_path_factory.mktemp("demo")
    shutil.copy(store_template, directory)
    return directory, run_demo(directory)


@pytest.fixture
def with_teacher(demo: tuple[Path, Ran], runs_dir: Path) -> Path:
    """A runs directory in which only the teacher is finished."""
    source = tiny.record(TEACHER, demo[0]).directory
    shutil.copytree(source, tiny.record(TEACHER, runs_dir).directory)
    return runs_dir
