"""What the report may show of a grid: files that were written of just these results."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from repro import browsing, manifest, output
from repro.profiles import PROFILES
from repro.results import GridResults
from tests.analysis.made_up import demo, made_up


@pytest.fixture
def results(tmp_path: Path) -> GridResults:
    return made_up(tmp_path / "runs", *demo())


def write(out: Path, results: GridResults, *names: str) -> None:
    manifest.begin(out, results)
    paths = [out / name for name in names]
    for path in paths:
        path.write_text("picture")
    manifest.finish(out, results, paths)


def names(out: Path, results: GridResults) -> list[str]:
    return [path.name for path in manifest.listed(out, results, ".png")]


def test_files_of_another_profile_directory_or_teacher_are_not_listed(
    results: GridResults, tmp_path: Path
) -> None:
    write(tmp_path, results, "b.png", "a.png", "a.csv")
    imported = replace(demo()[0], weights="0" * 64, method="teacher")
    others = (
        replace(results, profile=PROFILES["quick"]),
        replace(results, runs_dir=tmp_path / "other"),
        replace(results, runs=(imported,)),
    )
    assert names(tmp_path, results) == ["a.png", "b.png"]
    assert [names(tmp_path, other) for other in others] == [[], [], []]


def test_a_file_that_no_manifest_names_is_not_listed(results: GridResults, tmp_path: Path) -> None:
    (tmp_path / "left.png").write_text("picture")
    assert names(tmp_path, results) == []
    write(tmp_path, results, "a.png")
    assert names(tmp_path, results) == ["a.png"]
    (tmp_path / manifest.FILE).write_text("[]")
    assert names(tmp_path, results) == []


def test_what_is_no_longer_written_is_removed(results: GridResults, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("not of a manifest")
    write(tmp_path, results, "a.png", "b.png")
    write(tmp_path, results, "b.png")
    assert names(tmp_path, results) == ["b.png"]
    quick = replace(results, profile=PROFILES["quick"])
    manifest.begin(tmp_path, quick)  # an interruption from here on leaves nothing of the others
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        manifest.FILE,
        "mine.txt",
    ]
    assert names(tmp_path, quick) == names(tmp_path, results) == []


def test_a_manifest_names_nothing_outside_its_directory(
    results: GridResults, tmp_path: Path
) -> None:
    out, mine = tmp_path / "out", tmp_path / "mine.png"
    mine.write_text("picture")
    write(out, results)
    text = (out / manifest.FILE).read_text()
    (out / manifest.FILE).write_text(text.replace('"files": []', '"files": ["../mine.png", 3]'))
    assert names(out, results) == []
    write(out, results)
    assert mine.exists()


def test_the_scripts_of_a_folder_leave_a_manifest(
    results: GridResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "ROOT", tmp_path)
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "draw.py").write_text(
        "def write(results, out):\n"
        "    (out / 'a.png').write_text('picture')\n"
        "    return [out / 'a.png']\n"
    )
    output._run_scripts(Console(quiet=True), folder, results)
    assert names(results.out(folder), results) == ["a.png"]


def test_browse_reports_a_profile_before_it_draws_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two profiles of a grid share its directory."""
    said: list[str] = []
    one = {"grid": "demo", "runs": 1, "trained": "here", "ended": "today"}
    found = [one | {"profile": name} for name in ("demo", "quick")]
    monkeypatch.setattr(browsing.recorded, "fill", lambda _: found)
    monkeypatch.setattr(browsing.output, "sync", lambda *_: None)
    monkeypatch.setattr(
        browsing.output, "figures", lambda *_, profile, **__: said.append(f"draw {profile}")
    )
    monkeypatch.setattr(browsing, "report", lambda *_, profile, **__: said.append(profile))
    browsing.browse(Console(quiet=True), 5000, runs_dir=tmp_path, serve=False)
    assert said == ["draw demo", "demo", "draw quick", "quick"]
