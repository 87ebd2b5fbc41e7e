"""What the scripts of a grid wrote, and of which results: ``out/<grid>/manifest.json``.

A directory of outputs is named after its grid alone. Its manifest names the profile, the runs
directory and the imported teachers behind the files; the report shows no others.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from repro.environment import ROOT
from repro.files import make_directory, remove, write_atomically
from repro.results import GridResults
from repro.spec import key

FILE = "manifest.json"


def begin(out: Path, results: GridResults) -> None:
    """Make ``out`` ready for what will be written of ``results``: files that are of others go."""
    make_directory(out)
    found = _read(out)
    if found.get("of") != origin(results):
        _remove(out, _names(found))
        _write(out, results, ())


def finish(out: Path, results: GridResults, written: Iterable[Path]) -> None:
    """Name what was written; what an earlier manifest names and is no longer written goes."""
    names = sorted(path.name for path in written)
    _remove(out, set(_names(_read(out))) - set(names))
    _write(out, results, names)


def listed(out: Path, results: GridResults, suffix: str) -> list[Path]:
    """The files with ``suffix`` that were written of just these results, by name."""
    found = _read(out)
    if found.get("of") != origin(results):
        return []
    paths = [out / name for name in _names(found)]
    return sorted(path for path in paths if path.suffix == suffix and path.exists())


def origin(results: GridResults) -> dict[str, Any]:
    """Of what the files are: two that differ in it may not stand in one report."""
    runs_dir = results.runs_dir.resolve()
    inside = runs_dir.is_relative_to(ROOT)
    return {
        "profile": results.profile.name,
        "runs_dir": str(runs_dir.relative_to(ROOT) if inside else runs_dir),
        "imported": sorted({key(run) for run in results.runs if run.weights}),
    }


def _read(out: Path) -> dict[str, Any]:
    """Empty for what is no manifest."""
    try:
        found = json.loads((out / FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _names(found: dict[str, Any]) -> list[str]:
    """Names alone: whatever a file says, nothing outside its own directory is meant."""
    files = found.get("files")
    given = files if isinstance(files, list) else []
    return [name for name in given if isinstance(name, str) and Path(name).name == name]


def _remove(out: Path, names: Iterable[str]) -> None:
    for name in names:
        remove(out / name)


def _write(out: Path, results: GridResults, names: Iterable[str]) -> None:
    content = {"of": origin(results), "files": list(names)}
    write_atomically(out / FILE, json.dumps(content, indent=1) + "\n")
