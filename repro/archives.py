"""The committed archives of results, read: which there are, and what they hold of which runs."""

import io
import lzma
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from repro.environment import ROOT
from repro.errors import UserError
from repro.parcels import BROKEN

FOLDER = ROOT / "runs" / "recorded"
ENDING, WEIGHTS = ".tar.xz", ".weights.tar"


def archives(folder: Path = FOLDER) -> list[Path]:
    return sorted(folder.glob(f"*{ENDING}"))


def weight_archives(folder: Path = FOLDER) -> list[Path]:
    return sorted(folder.glob(f"*{WEIGHTS}"))


def weights_beside(archive: Path) -> Path:
    """Where the networks of an archive's runs are."""
    return archive.with_name(archive.name.replace(ENDING, WEIGHTS))


@contextmanager
def opened(path: Path) -> Iterator[tarfile.TarFile]:
    """Read as a whole, so that damage is noticed. Raises UserError then."""
    with ExitStack() as stack:
        try:
            content = path.read_bytes()
            content = lzma.decompress(content) if path.name.endswith(ENDING) else content
            archive = stack.enter_context(tarfile.open(fileobj=io.BytesIO(content)))
            archive.getmembers()
            ends = content[archive.offset : archive.offset + tarfile.BLOCKSIZE]
            if ends != bytes(tarfile.BLOCKSIZE):  # tarfile takes the unreadable as the end
                raise tarfile.ReadError("a member cannot be read")
        except BROKEN as error:
            reason = str(error).partition(":\n")[0] or type(error).__name__
            raise UserError(f"{path}: {reason}; `git checkout {path}` brings it back") from error
        yield archive


def keys_in(path: Path) -> set[str]:
    """Of the runs of an archive."""
    with opened(path) as archive:
        return keys_of(archive)


def keys_of(archive: tarfile.TarFile) -> set[str]:
    return {Path(name).parts[1] for name in archive.getnames() if name.startswith("records/")}


def held(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Its runs' keys, and what each one's ``status.json`` says."""
    with opened(archive) as members:
        for member in members:
            folder, _, name = member.name.removeprefix("records/").partition("/")
            if name == "status.json" and (file := members.extractfile(member)):
                yield folder, file.read()
