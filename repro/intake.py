"""Results of another machine taken in: records copied from its directory or archive.

Of a run that both have the one that is further stays, and the other one is kept under
``<runs>/replaced/``. A record appears whole or not at all: its files are made in the stage of its
lease, and ``run.json``, without which it is none, is the first to go and the last to come.
"""

import json
import os
import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError, safe_open

from repro import faults, spec
from repro.errors import LeaseLost, UserError
from repro.files import cannot_write, make_directory, sync_directory
from repro.leases import Leases
from repro.parcels import BROKEN, FILES, KEY, Contents, File, Parcel, opened
from repro.records import MALFORMED, REASON_CHARACTERS, Record, Records, now_ms
from repro.stages import quiet, stage_of

CHUNK_BYTES = 1 << 20
SMALL_BYTES = 10 << 20  # more than any run.json has
Taken = Literal["new", "further", "known", "held", "damaged"]


@dataclass
class Intake:
    """How many of a source's records were taken in; ``lines``: what is to be said besides."""

    counts: Counter[Taken] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)


def take_in(source: Path, runs_dir: Path, leases: Leases) -> Intake:
    """Copy what this runs directory lacks. Raises UserError where nothing can be read, or the disk
    has no room for all of it: then nothing is written."""
    intake = Intake()
    with opened(source) as contents:
        lacking: list[tuple[str, Parcel]] = []
        for parcel in contents.parcels:
            try:
                key = key_of(parcel)
            except DAMAGE as error:
                _damaged(intake, parcel, error)
                continue
            if Records(runs_dir).state(key) == "FINISHED":  # a damaged one may be replaced
                intake.counts["known"] += 1
            else:
                lacking.append((key, parcel))
        check_room(runs_dir, sum(parcel.size for _, parcel in lacking))
        for key, parcel in lacking:
            try:
                intake.counts[take(key, parcel, runs_dir, leases)] += 1
            except DAMAGE as error:
                _damaged(intake, parcel, error)
        _left_out(intake, contents, source)
    return intake


def _left_out(intake: Intake, contents: Contents, source: Path) -> None:
    if contents.unsafe:
        words = "links, devices or names that lead out of it"
        intake.lines.append(f"{source}: {contents.unsafe} members left out: {words}")
    if contents.other:
        intake.lines.append(f"{source}: {contents.other} files left out: none of a record's")
    if contents.note:
        intake.counts["damaged"] += 1
        intake.lines.append(f"damaged: {contents.note}")


class Damaged(Exception):
    """What was sent is not a record."""


DAMAGE = (Damaged, *BROKEN)


def _damaged(intake: Intake, parcel: Parcel, error: BaseException) -> None:
    intake.counts["damaged"] += 1
    reason = str(error).partition("\n")[0] or type(error).__name__
    intake.lines.append(f"damaged: {parcel.where}: {reason}")


def key_of(parcel: Parcel) -> str:
    """The key of the run that its ``run.json`` describes, if that is the one that it names."""
    with parcel.files["run.json"].open() as file:
        content = file.read(SMALL_BYTES)
    try:
        data = json.loads(content)
        run = spec.decode(data["run"])
        key = spec.key(run) if isinstance(run, spec.Run) else ""
        named = data["key"]
    except (UserError, *MALFORMED) as error:
        found = repr(error)[:REASON_CHARACTERS]
        raise Damaged(f"run.json describes no run ({found})") from error
    if key != named or not KEY.fullmatch(key):
        raise Damaged("run.json describes another run than it names")
    return key


def check_room(runs_dir: Path, needed: int) -> None:
    free = shutil.disk_usage(make_directory(runs_dir)).free
    if needed > free:
        raise UserError(
            f"{needed / 2**20:,.0f} MiB are to be taken in and {free / 2**20:,.0f} MiB are free in "
            f"{runs_dir}; free space, or give another --runs-dir"
        )


def take(key: str, parcel: Parcel, runs_dir: Path, leases: Leases) -> Taken:
    """One record, under its lease. Raises Damaged or what reading raises; nothing is lost then."""
    there = parcel.directory and stage_of(parcel.directory)
    if (
        parcel.directory
        and there
        and not leases.dead(there)
        and not quiet(Record(parcel.directory))
    ):
        return "held"  # it is being trained
    own = Record(runs_dir / "records" / key)
    with suppress(LeaseLost), leases.holding(own, "sync") as held:
        if held and held.stage:
            return _place(parcel, held, runs_dir)
    return "held"


def _place(parcel: Parcel, own: Record, runs_dir: Path) -> Taken:
    assert own.stage
    aside = own.stage / "intake"
    try:
        other = copied(parcel, aside)
        known = own.exists()
        if known and rank(other) <= rank(own):
            return "known"
        if known:
            keep(own, runs_dir / "replaced" / f"{own.key}-{now_ms()}")
        put(other, own)
        return "further" if known else "new"
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def copied(parcel: Parcel, aside: Path) -> Record:
    """The files, whole and on disk, under names of our own. Raises Damaged."""
    make_directory(aside)
    for name in parcel.files:  # as they lie in an archive: one step back unpacks it from its start
        copy(parcel.files[name], aside / name)
    other = Record(aside)
    try:
        other.run(), other.tags(), other.history()
        status = other.status()
        if other.weights.exists():
            with safe_open(other.weights, "np"):  # it checks that the file is whole
                pass
        elif status and status.state == "FINISHED" and not other.taken:
            raise Damaged("it is finished and has no weights")
    except (UserError, SafetensorError) as error:
        words = str(error).partition("; remove ")[0]
        raise Damaged(words.replace(f"{aside}/", "")) from error
    return other


def copy(file: File, to: Path) -> None:
    with file.open() as source, to.open("xb") as target:
        left = file.size
        while left and (chunk := source.read(min(left, CHUNK_BYTES))):
            _write(target, chunk, to)
            left -= len(chunk)
        target.flush()
        os.fsync(target.fileno())
    if left:
        raise Damaged(f"{to.name} is cut off")
    faults.point("intake copied")


def _write(target: object, chunk: bytes, to: Path) -> None:
    try:
        target.write(chunk)  # type: ignore[attr-defined]
    except OSError as error:
        raise cannot_write(to, error) from error


def rank(record: Record) -> tuple[int, int]:
    """Finished before others, then by epochs; one without its network, or damaged, comes last."""
    if record.taken and not record.weights.exists():
        return 0, 0
    try:
        status = record.status()
        return int(bool(status and status.state == "FINISHED")), len(record.history())
    except UserError:
        return -1, 0


def keep(own: Record, where: Path) -> None:
    """All of the record under another name: there before anything is taken away here."""
    partial = make_directory(where.with_name(f".{where.name}"))
    for path in own.directory.iterdir():
        if path.is_file() and not path.is_symlink():
            _link(path, partial / path.name)
    sync_directory(partial)
    partial.rename(where)
    sync_directory(where.parent)
    faults.point("intake kept")


def _link(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except OSError:  # not every file system has links
        shutil.copy2(path, to)


def put(other: Record, own: Record) -> None:
    """Every file by its name; those that only the old one had go."""
    names = [name for name in FILES if name != "run.json"]
    assert own.stage
    try:
        os.utime(own.stage)  # it is gone where another process took over
        for name in ("run.json", *(n for n in names if not (other.directory / n).exists())):
            (own.directory / name).unlink(missing_ok=True)
        for name in (*names, "run.json"):
            if (other.directory / name).exists():
                (other.directory / name).replace(own.directory / name)
                faults.point("intake placed")
        sync_directory(own.directory)
    except OSError as error:
        if not own.stage.exists():
            raise LeaseLost(f"{own.directory} was taken over by another process") from error
        raise cannot_write(own.directory, error) from error
