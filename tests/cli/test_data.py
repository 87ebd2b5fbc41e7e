"""Data that is missing or wrong: one clear line, exit code 2, and nothing written."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from repro import launch
from tests.cli.invoke import error_of, repro, usage_error_of
from tests.data import fake

THREE_WAYS = ("repro data fetch", "repro data import cifar100 PATH", "make demo")


def cifar(*words: str | Path, runs_dir: Path) -> Result:
    return repro("run", "cifar", "--profile", "quick", *words, "--runs-dir", runs_dir)


def test_without_cifar100_the_three_ways_to_get_it_are_named(elsewhere: Path) -> None:
    message = error_of(cifar(runs_dir=elsewhere))
    assert "cannot download CIFAR-100" in message
    assert all(way in message for way in THREE_WAYS)
    assert ".npz" in message
    assert not elsewhere.exists()


def test_cifar100_is_downloaded_where_nothing_else_is_given(
    no_data: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders: list[Path] = []
    monkeypatch.setattr(launch, "fetch", folders.append)
    error_of(cifar(runs_dir=elsewhere))  # nothing came
    assert folders == [no_data]


def test_a_missing_data_file_is_told_even_where_none_is_needed(elsewhere: Path) -> None:
    gone = elsewhere / "gone.npz"
    message = error_of(repro("run", "demo", "--data", gone, "--runs-dir", elsewhere))
    assert message.startswith(f"{gone} does not exist")
    assert not elsewhere.exists()


def test_verifying_what_is_not_there_names_the_three_ways() -> None:
    assert all(way in error_of(repro("data", "verify")) for way in THREE_WAYS)


def other_pixels(path: Path) -> Path:
    return fake.write_npz(path / "other.npz", fake.arrays())


def truncated(path: Path) -> Path:
    source = other_pixels(path)
    source.write_bytes(source.read_bytes()[:5000])
    return source


def no_archive(path: Path) -> Path:
    (path / "text.npz").write_text("hello")
    return path / "text.npz"


def empty_folder(path: Path) -> Path:
    (path / "empty").mkdir()
    return path / "empty"


SOURCES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "missing": (lambda path: path / "nowhere.npz", "does not exist"),
    "truncated": (truncated, "is damaged, truncated"),
    "other pixels": (other_pixels, "the train images are not those of CIFAR-100"),
    "text": (no_archive, "is not an .npz archive"),
    "empty folder": (empty_folder, "has no file train"),
}


@pytest.mark.parametrize("how", ["option", "variable", "import"])
@pytest.mark.parametrize("case", SOURCES)
def test_wrong_data_is_refused_by_its_path(
    case: str,
    how: str,
    tmp_path: Path,
    no_data: Path,
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make, reason = SOURCES[case]
    source = make(tmp_path)
    if how == "option":
        result = cifar("--data", source, runs_dir=elsewhere)
    elif how == "variable":
        monkeypatch.setenv("REPRO_CIFAR100", str(source))
        result = cifar(runs_dir=elsewhere)
    else:
        result = repro("data", "import", "cifar100", source)
    message = error_of(result)
    assert str(source) in message
    assert reason in message
    assert "an .npz" in message
    assert not elsewhere.exists()
    assert not no_data.exists()


def test_an_unknown_data_set_is_refused() -> None:
    assert "'mnist' is not 'cifar100'" in usage_error_of(repro("data", "verify", "mnist"))
