"""Committed results, ``runs/recorded/<grid>-<profile>.tar.xz``, to be looked at without training.

An archive holds, of every finished or failed run of a grid, what was asked, its epochs, its end and
its machine, and of every finished one what was measured of its network: the inter-class, rank and
plane numbers, the pictures. Test logits (half precision) are those of one trial of the first pair;
there are no images. Beside it ``<grid>-<profile>.weights.tar`` holds the final weights of teachers
and of that trial's students, of the smallest networks first as far as there is room.
"""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from repro import filled
from repro.analysis.kept import files_of, teacher_of
from repro.archives import (
    FOLDER,
    archives,
    keys_in,
    keys_of,
    opened,
    weight_archives,
    weights_beside,
)
from repro.errors import UserError
from repro.failures import failed_records
from repro.files import make_directory, write_atomically
from repro.recordable import check_kept, check_new, path_of
from repro.results import GridResults
from repro.spec import key

MOST_BYTES = 10_000_000  # of all archives: everybody clones them
MOST_WEIGHTS = 15_000_000  # bytes of all weights
BLOCK = 20_480  # bytes that a tar adds to a file and at its end, at most
FILES = ("run.json", "status.json", "history.jsonl", "environment.json")


def pack(
    results: GridResults,
    folder: Path = FOLDER,
    *,
    students: bool = True,
    replace: bool = False,
) -> Path:
    """Write the archive of a grid's results; the same results make the same bytes.

    Runs that another archive holds, as they are here, are left to it. ``students``: with logits and
    weights of one trial of the first pair.

    Raises UserError where ``check_new`` or ``check_kept`` does, and where all would be over
    ``MOST_BYTES``.
    """
    path = check_new(results, folder, replace=replace)
    about = {"grid": results.grid, "profile": results.profile.name}
    there = {k for other in archives(folder) if other != path for k in keys_in(other)}
    found = {filled.FILE: json.dumps(about, indent=1).encode()} | {
        name: content(file)
        for name, file in members(results, students=students)
        if Path(name).parts[1] not in there
    }
    if not replace:
        networks = {file.parent.name for file in weights_of(results, students=students)}
        check_kept(path, found.keys(), there, networks)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", preset=9) as archive:
        for name in sorted(found):
            info = tarfile.TarInfo(name)
            info.size = len(found[name])
            archive.addfile(info, io.BytesIO(found[name]))
    others = sum(other.stat().st_size for other in archives(folder) if other != path)
    if others + buffer.tell() > MOST_BYTES:
        raise UserError(
            f"{path.name} would have {buffer.tell() / 1e6:.1f} MB, the other archives have "
            f"{others / 1e6:.1f} MB: together at most {MOST_BYTES / 1e6:.0f} MB are committed"
        )
    make_directory(folder)
    write_atomically(path, buffer.getvalue())
    _pack_weights(results, folder, students=students)
    return path


def _pack_weights(results: GridResults, folder: Path, *, students: bool) -> None:
    """Those that another archive has are left to it."""
    own = weights_beside(path_of(results, folder))
    others = [path for path in weight_archives(folder) if path != own]
    known = {k for path in others for k in keys_in(path)}
    left = MOST_WEIGHTS - sum(path.stat().st_size for path in others)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(
            weights_of(results, students=students), key=lambda p: (p.stat().st_size, p)
        ):
            name = f"records/{path.parent.name}/{path.name}"
            if path.parent.name in known or buffer.tell() + path.stat().st_size + BLOCK > left:
                continue
            info = tarfile.TarInfo(name)
            info.size = path.stat().st_size
            archive.addfile(info, io.BytesIO(path.read_bytes()))
        some = bool(archive.getnames())
    own.unlink(missing_ok=True)
    if some:
        write_atomically(own, buffer.getvalue())


def weights_of(results: GridResults, *, students: bool = True) -> set[Path]:
    """Of every pair's teacher, and of the first pair's students of one trial."""
    pairs = results.pairs
    runs = [run for run in map(results.teacher, pairs) if run]
    for pair in pairs[:1] if students else ():
        runs += results.first_trials(pair).values()
    return {path for run in runs if (path := results.record(run).weights).exists()}


def content(path: Path) -> bytes:
    """What is committed of a file: all, but for the name of the machine's operating system."""
    if path.name != "environment.json":
        return path.read_bytes()
    told = json.loads(path.read_bytes())
    return json.dumps({name: value for name, value in told.items() if name != "host"}).encode()


def members(results: GridResults, *, students: bool = True) -> Iterator[tuple[str, Path]]:
    """(name in the archive, file) of everything that is recorded."""
    for record in (*map(results.record, _distinct(results)), *failed_records(results)):
        for name in FILES:
            if (record.directory / name).exists():
                yield f"records/{record.key}/{name}", record.directory / name
    for run in _distinct(results):
        for path in current(results.runs_dir / "measured", key(run)):
            yield f"measured/{key(run)}/{path.name}", path
    for pair in results.pairs[:1] if students else ():
        teacher = results.teacher(pair)
        for run in (*((teacher,) if teacher else ()), *results.first_trials(pair).values()):
            if results.has_logits(run):  # a network that was taken in has none
                path = results.record(run).test_logits
                yield f"records/{key(run)}/{path.name}", path


def _distinct(results: GridResults) -> list[Any]:
    return list({key(run): run for run in results.runs}.values())


def current(folder: Path, key: str) -> Iterable[Path]:
    """The newest of each measurement of a run beside each teacher."""
    newest = {}
    for path in files_of(folder, key):
        newest[path.name.rpartition("-")[0], teacher_of(path)] = path
    return newest.values()


def fill(runs_dir: Path, folder: Path = FOLDER) -> list[dict[str, Any]]:
    """Make ``runs_dir`` hold the recorded results and nothing else; of each archive ``grid``,
    ``profile`` and how many ``runs`` it adds.

    Nothing is done where it holds them already. Raises UserError where there are none, and where
    the directory holds other things.
    """
    found = archives(folder)
    if not found:
        raise UserError(f"{folder} holds no recorded results; `repro record GRID` makes some")
    weights = weight_archives(folder)
    digests = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (*found, *weights)}
    there = filled.read(runs_dir)
    if there.get("digests") == digests:
        return list(there["archives"])
    if runs_dir.exists() and not there and any(runs_dir.iterdir()):
        raise UserError(f"{runs_dir} holds other things than recorded results; name another")
    for path in (*found, *weights):
        keys_in(path)  # before what is there goes
    shutil.rmtree(runs_dir, ignore_errors=True)
    make_directory(runs_dir)
    abouts = [_unpack(path, runs_dir) for path in found]
    for path in weights:
        _unpack(path, runs_dir)
    write_atomically(
        runs_dir / filled.FILE, json.dumps({"digests": digests, "archives": abouts}, indent=1)
    )
    return abouts


def _unpack(path: Path, runs_dir: Path) -> dict[str, Any]:
    with opened(path) as archive:
        archive.extractall(runs_dir, filter="data")
        return {**filled.read(runs_dir), "runs": len(keys_of(archive))}
