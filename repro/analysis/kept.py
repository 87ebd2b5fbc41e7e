"""What was measured of a finished run is kept, so that figures, claims and reports share it.

``<runs>/measured/<key>/<name>-<hash>.json`` holds one measurement of one run: the parameters whose
hash is in its name, and a table. A file that cannot be read or tells other parameters is none.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from repro.errors import UserError
from repro.files import make_directory, write_atomically

Parameters = Mapping[str, Any]  # JSON-ready
Progress = Callable[[str, int, int], None]  # name, how many are measured, of how many
HASH_DIGITS = 16


def silent(name: str, done: int, of: int) -> None:
    """No progress is shown."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One measurement of the run ``key``; ``parameters``: all that its numbers depend on, besides
    the run. A ``version`` among them is raised when the numbers come to mean something else."""

    folder: Path
    key: str
    name: str
    parameters: Parameters

    @property
    def path(self) -> Path:
        text = json.dumps([self.key, self.name, self.parameters], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]
        return self.folder / self.key / f"{self.name}-{digest}.json"

    def read(self) -> pd.DataFrame | None:
        """The table; None where there is none, or none that is whole and of these parameters."""
        found = _read(self.path)
        if found and (found[0], found[1]) == (self.key, _plain(self.parameters)):
            return found[2]
        return None

    def write(self, table: pd.DataFrame) -> None:
        """Whole or not at all; what is missing (NaN) is null. Raises UserError as files do."""
        columns = {
            str(name): [None if value != value else value for value in column.tolist()]
            for name, column in table.items()
        }
        data = {"key": self.key, "parameters": self.parameters, "table": columns}
        make_directory(self.path.parent)
        write_atomically(self.path, json.dumps(data))


def as_recorded(
    folder: Path, key: str, name: str, *, teacher: str, version: object
) -> pd.DataFrame | None:
    """The table of a run beside a teacher ("" for one alone), whatever its other parameters.

    Raises UserError where there are only tables of other versions: their numbers mean something
    else.
    """
    found = [_read(path) for path in files_of(folder, key, name)]
    fitting = [item for item in found if item and item[1].get("teacher") == teacher]
    same = [item for item in fitting if item[1].get("version") == version]
    if fitting and not same:
        raise UserError(
            f"{name} of {key[:12]} is recorded in version {fitting[-1][1].get('version')}, this "
            f"suite reads version {version}: go back to the commit that it was recorded with, or "
            "record it again with `repro record GRID` where it was trained"
        )
    return same[-1][2] if same else None


def files_of(folder: Path, key: str, name: str = "*") -> list[Path]:
    """Measurements of a run, the newest last."""
    paths = (folder / key).glob(f"{name}-*.json")
    return sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name))


def teacher_of(path: Path) -> str:
    """The key of the teacher beside which it was measured; "" where there is none."""
    found = _read(path)
    return str(found[1].get("teacher", "")) if found else ""


def _read(path: Path) -> tuple[str, dict[str, Any], pd.DataFrame] | None:
    """Key, parameters and table; None for what is none."""
    try:
        data = json.loads(path.read_bytes())
        columns = {name: list(values) for name, values in data["table"].items()}
        if not columns or len({len(values) for values in columns.values()}) != 1:
            return None
        table = pd.DataFrame({n: _numbers(values) for n, values in columns.items()})
        return str(data["key"]), dict(data["parameters"]), table
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _plain(parameters: Parameters) -> Any:
    """As JSON gives them back: tuples are lists."""
    return json.loads(json.dumps(parameters))


def _numbers(values: list[Any]) -> list[Any]:
    return [float("nan") if v is None else v for v in values] if None in values else values


def tables(
    wanted: Sequence[Kept],
    measure: Callable[[Sequence[int]], Iterable[pd.DataFrame]],
    progress: Progress = silent,
) -> list[pd.DataFrame]:
    """The table of each of ``wanted``, measured where it is not kept.

    ``measure`` gets the positions that are missing, and gives a table for each in their order; each
    is written at once, so an interruption loses one. It is not called where nothing is missing.
    What is measured is read back: the same numbers as ever after.
    """
    found = [kept.read() for kept in wanted]
    missing = [i for i, table in enumerate(found) if table is None]
    if missing:
        name = wanted[missing[0]].name
        progress(name, 0, len(missing))
        for done, (i, table) in enumerate(zip(missing, measure(missing), strict=True), 1):
            wanted[i].write(table)
            found[i] = wanted[i].read()
            progress(name, done, len(missing))
    return [table for table in found if table is not None]
