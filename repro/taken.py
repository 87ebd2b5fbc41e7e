"""What ``runs/recorded/`` holds counts as finished in a campaign: no minute is spent twice."""

import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from repro.errors import LeaseLost
from repro.files import make_directory
from repro.intake import put
from repro.leases import Leases
from repro.recorded import FOLDER, archives, held, keys_in, weight_archives
from repro.records import Record, Records
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
        _take(wanted, runs_dir, [*{where[k]: None for k in wanted}, *weight_archives(folder)])
    count = Counter(where[k].name for k in sorted(wanted))
    return [f"{number} runs are there already: {name}" for name, number in count.items()]


def _same(teacher: str, records: Records, archive: Path) -> bool:
    """Is the teacher that is here, if one is, the recorded one?"""
    own = records.of(teacher)
    if not own.exists():
        return True
    if own.status() is None:
        return False
    return (own.directory / "status.json").read_bytes() == dict(held(archive))[teacher]


def _take(keys: set[str], runs_dir: Path, sources: Iterable[Path]) -> None:
    """Under their leases, and what was measured of them. Most have no weights."""
    leases = Leases()
    make_directory(runs_dir)
    with tempfile.TemporaryDirectory(dir=runs_dir, prefix=".taking-") as name:
        folder = Path(name)
        for path in sources:
            with tarfile.open(path) as opened:
                inside = [m for m in opened.getmembers() if set(Path(m.name).parts) & keys]
                opened.extractall(folder, inside, filter="data")
        for k in keys:
            with suppress(LeaseLost), leases.holding(Records(runs_dir).own(k), "sync") as held:
                if held and not held.exists():
                    put(Record(folder / "records" / k), held)
        for file in folder.glob("measured/*/*"):
            own = make_directory(runs_dir / "measured" / file.parent.name) / file.name
            file.replace(own)
