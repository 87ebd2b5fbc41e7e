"""Records as another machine sends them: a directory or an archive, of which nothing is trusted.

Names in it only tell which files belong together; where they are written is decided here. Links,
devices and names that lead out of it are left out.
"""

import lzma
import os
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

from repro.errors import UserError
from repro.records import TAKEN

KEY = re.compile(r"[0-9a-f]{64}")
FILES = (  # of a record; mlflow.json is left out: its run ids mean nothing elsewhere
    "run.json",
    "status.json",
    "history.jsonl",
    "environment.json",
    "checkpoint",
    "checkpoint.previous",
    "weights.safetensors",
    "test_logits.npz",
    TAKEN,
)
BROKEN = (  # what reading an archive may raise
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    RuntimeError,  # such as one with a password
    NotImplementedError,
    ValueError,  # such as a name in no encoding, or a place before the file's begin
    IndexError,  # a name without letters
    OverflowError,
)


@dataclass(frozen=True)
class File:
    size: int
    open: Callable[[], IO[bytes]]


@dataclass
class Parcel:
    """One record in it. ``where``: its place, in words; ``directory``: where it is one."""

    where: str
    files: dict[str, File] = field(default_factory=dict)
    directory: Path | None = None

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())


@dataclass
class Contents:
    """What was found. ``unsafe``: members that are links, devices or lead out; ``other``: files
    that are none of a record; ``note``: why not all could be read."""

    parcels: list[Parcel] = field(default_factory=list)
    unsafe: int = 0
    other: int = 0
    note: str = ""


@contextmanager
def opened(source: Path) -> Iterator[Contents]:
    """The records in a directory or archive, as long as it is open.

    Raises UserError where it is neither, or holds no records.
    """
    with ExitStack() as stack:
        if source.is_dir():
            contents = _listed(source)
        elif zipfile.is_zipfile(source) and not _is_tar(source):
            contents = in_archive(zip_members(source, stack), source)
        else:
            contents = in_archive(tar_members(source, stack), source)
        if not contents.parcels and not contents.note:
            raise UserError(
                f"{source} holds no records: give a runs directory, its records/, one record, or "
                "an archive of these"
            )
        yield contents


def _is_tar(source: Path) -> bool:
    """A tar that ends with a zip, such as test_logits.npz, looks like one."""
    try:
        return tarfile.is_tarfile(source)
    except BROKEN:
        return False


def _listed(source: Path) -> Contents:
    try:
        return in_directory(source)
    except OSError as error:
        raise UserError(f"{source} cannot be read ({_words(error)})") from error


def in_directory(source: Path) -> Contents:
    """A runs directory, its records, or one record."""
    contents = Contents()
    root = source / "records" if (source / "records").is_dir() else source
    places = [root] if (root / "run.json").exists() else sorted(root.iterdir())
    for place in places:
        if place.is_symlink():
            contents.unsafe += 1
        elif place.is_dir() and (place / "run.json").exists():
            contents.parcels.append(_of_directory(place, contents))
    contents.parcels = [parcel for parcel in contents.parcels if "run.json" in parcel.files]
    return contents


def _of_directory(place: Path, contents: Contents) -> Parcel:
    parcel = Parcel(str(place), directory=place)
    for name in FILES:
        path = place / name
        found = path.lstat() if path.is_symlink() or path.exists() else None
        if found and stat.S_ISREG(found.st_mode):
            parcel.files[name] = File(found.st_size, partial(_no_link, path))
        elif found:
            contents.unsafe += 1
    return parcel


def _no_link(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb")


@dataclass(frozen=True)
class Member:
    name: str
    regular: bool
    directory: bool
    file: File


def in_archive(members: Iterable[Member], source: Path) -> Contents:
    """Records stand in directories named by a key, or one alone at the top."""
    contents, parcels = Contents(), dict[PurePosixPath, Parcel]()
    last = None
    try:
        for member in members:
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts or not (member.regular or member.directory):
                contents.unsafe += 1
            elif member.regular and path.name in FILES and _is_place(path.parent):
                last = parcels.setdefault(path.parent, Parcel(f"{source}: {path.parent}"))
                last.files[path.name] = member.file
            elif member.regular:
                contents.other += 1
    except BROKEN as error:
        contents.note = f"{source} cannot be read to its end ({_words(error)})"
        parcels = {place: parcel for place, parcel in parcels.items() if parcel is not last}
    contents.parcels = [parcel for parcel in parcels.values() if "run.json" in parcel.files]
    return contents


def _words(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _is_place(folder: PurePosixPath) -> bool:
    """Not below artifacts/ or a lease, nor what is recorded or replaced there."""
    of_key = KEY.fullmatch(folder.name) and folder.parent.name not in ("recorded", "replaced")
    return bool(of_key) or not folder.parts


A = TypeVar("A", tarfile.TarFile, zipfile.ZipFile)


def _archive(open_it: Callable[[Path], A], source: Path, stack: ExitStack) -> A:
    try:
        return stack.enter_context(open_it(source))
    except BROKEN as error:
        raise UserError(
            f"{source} is no directory and no .tar, .tar.gz, .tar.xz or .zip that can be read "
            f"({_words(error)})"
        ) from error


def tar_members(source: Path, stack: ExitStack) -> Iterator[Member]:
    archive = _archive(tarfile.open, source, stack)
    for info in archive:
        file = File(info.size, partial(_of_tar, archive, info))
        yield Member(info.name, info.isreg() and not info.issparse(), info.isdir(), file)


def _of_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    found = archive.extractfile(info)
    assert found  # it is a regular file
    return found


def zip_members(source: Path, stack: ExitStack) -> Iterator[Member]:
    archive = _archive(zipfile.ZipFile, source, stack)
    for info in archive.infolist():
        mode = info.external_attr >> 16
        regular = not info.is_dir() and stat.S_IFMT(mode) in (0, stat.S_IFREG)
        file = File(info.file_size, partial(archive.open, info))
        yield Member(info.filename, regular, info.is_dir(), file)
