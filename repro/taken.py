"""What ``runs/recorded/`` holds counts as finished in a campaign: no minute is spent twice."""

import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from repro.archives import FOLDER, archives, held, keys_in, opened, weight_archives
from repro.errors import LeaseLost
from repro.files import make_directory
from repro.intake import put
from repro.leases import Leases
from repro.records import TAKEN, Record, Records
from repro.spec import Run, key, uses_teacher


def take_recorded(runs: Iterable[Run], runs_dir: Path, folder: Path = FOLDER) -> list[str]:
    """Put the records of ``runs`` that archives hold into ``runs_dir``, where none of theirs is;
    returns what is to be said.

    A student comes along only beside the teacher that taught it: not where another network of the
    same key was trained here, and, where students of it are left to train, only with its weights:
    so ``runs`` are all that will be trained.
    """
    runs, records = tuple(runs), Records(runs_dir)
    where = {k: path for path in reversed(archives(folder)) for k in keys_in(path)}
    weights = {k: path for path in weight_archives(folder) for k in keys_in(path)}
    missing = {key(run) for run in runs if not records.of(key(run)).exists()}
    new = missing & where.keys()
    taught: dict[str, set[str]] = defaultdict(set)  # by the teacher's key
    for run in runs:
        if run.teacher and uses_teacher(run.loss):
            taught[key(run.teacher)].add(key(run))
    wanted = new - set(taught).union(*taught.values())  # baselines
    for teacher, students in taught.items():
        if teacher in where and _same(teacher, records, where[teacher]):
            to_train = {k for k in students - new if records.state(k) != "FINISHED"}
            if not to_train or teacher in weights or teacher not in missing:
                wanted |= new & {teacher, *students}
    if wanted:
        _take(
            {k: where[k] for k in wanted},
            {k: p for k, p in weights.items() if k in wanted},
            runs_dir,
        )
    count = Counter(where[k].name for k in sorted(wanted))
    left = Counter(where[k].name for k in sorted(new - wanted))
    return [
        *(f"{number} runs are there already: {name}" for name, number in count.items()),
        *(
            f"{n} runs are left out, their teacher is trained here: {name}"
            for name, n in left.items()
        ),
    ]


def _same(teacher: str, records: Records, archive: Path) -> bool:
    """Is the teacher that is here, if one is, the recorded one?"""
    own = records.of(teacher)
    if not own.exists():
        return True
    if own.status() is None:
        return False
    return (own.directory / "status.json").read_bytes() == dict(held(archive))[teacher]


def _take(where: Mapping[str, Path], weights: Mapping[str, Path], runs_dir: Path) -> None:
    """Under their leases, after what was measured of them: without a record it is in nobody's way.

    ``where``, ``weights``: by key the archives; of most there are no weights.
    """
    leases = Leases()
    make_directory(runs_dir)
    with tempfile.TemporaryDirectory(dir=runs_dir, prefix=".taking-") as name:
        folder = Path(name)
        for source in (where, weights):
            for path in dict.fromkeys(source.values()):
                with opened(path) as archive:
                    inside = [m for m in archive.getmembers() if source.get(_key(m)) == path]
                    archive.extractall(folder, inside, filter="data")
        for file in folder.glob("measured/*/*"):
            own = make_directory(runs_dir / "measured" / file.parent.name) / file.name
            file.replace(own)
        for k, path in where.items():
            (folder / "records" / k / TAKEN).write_text(path.name)
            with suppress(LeaseLost), leases.holding(Records(runs_dir).own(k), "sync") as held:
                if held and not held.exists():
                    put(Record(folder / "records" / k), held)


def _key(member: tarfile.TarInfo) -> str:
    """Of the run that a member is of; empty for the archive's own."""
    return Path(member.name).parts[1] if "/" in member.name else ""
