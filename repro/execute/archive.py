"""Records as bytes, between a launcher and workers that share no directory with it."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from repro.intake import take_in
from repro.leases import Leases
from repro.parcels import FILES
from repro.records import Record


def packed(records: Iterable[Record]) -> bytes:
    """An archive of the records that exist, which nobody writes to meanwhile; empty for none."""
    there = [record for record in records if record.exists()]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for record in there:
            for path in (record.directory / name for name in FILES):
                if path.exists():
                    archive.add(path, f"records/{record.key}/{path.name}")
    return buffer.getvalue() if there else b""


def take_in_bytes(archive: bytes, runs_dir: Path, leases: Leases) -> list[str]:
    """What of it is further than the records here is taken in; returns what is to be said.

    Raises UserError where there is no room for it.
    """
    if not archive:
        return []
    with TemporaryDirectory(prefix="repro-") as directory:
        path = Path(directory) / "records.tar"
        path.write_bytes(archive)
        intake = take_in(path, runs_dir, leases)
    return [line.replace(f"{path}: ", "") for line in intake.lines]
