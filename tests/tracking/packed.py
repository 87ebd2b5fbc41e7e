"""Records packed as another machine would send them."""

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from repro.intake import take_in
from repro.leases import Leases


def taken(source: Path, runs_dir: Path) -> dict[str, int]:
    return dict(take_in(source, runs_dir, Leases()).counts)


def files(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def tar(suffix: str) -> Callable[[Path, Path], Path]:
    def pack(what: Path, where: Path) -> Path:
        archive = where / f"results{suffix}"
        mode: Any = "w:" + suffix.rpartition(".")[2].replace("tgz", "gz").replace("tar", "")
        with tarfile.open(archive, mode) as file:
            file.add(what, arcname=what.name)
        return archive

    return pack


def zipped(what: Path, where: Path) -> Path:
    return Path(shutil.make_archive(str(where / "results"), "zip", what.parent, what.name))


def as_it_is(what: Path, _: Path) -> Path:
    return what


PACKED = {
    "directory": as_it_is,
    ".tar": tar(".tar"),
    ".tar.gz": tar(".tar.gz"),
    ".tgz": tar(".tgz"),
    ".tar.xz": tar(".tar.xz"),
    ".zip": zipped,
}
