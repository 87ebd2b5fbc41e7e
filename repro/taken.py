"""What ``runs/recorded/`` holds counts as finished in a campaign: no minute is spent twice."""

import tarfile
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from repro.files import make_directory
from repro.recorded import FOLDER, archives, keys_in, weight_archives
from repro.records import Records
from repro.spec import Run, key, uses_teacher


def take_recorded(runs: Iterable[Run], runs_dir: Path, folder: Path = FOLDER) -> list[str]:
    """Put the records of ``runs`` that archives hold into ``runs_dir``, where none of theirs is;
    returns what is to be said.

    A student comes along only beside the teacher that taught it: not where another network of the
    same key was trained here, and, where students of it are left to train, only with its weights.
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
    taken = Counter(_take(k, runs_dir, where[k], weights.get(k)) for k in sorted(wanted))
    return [f"{count} runs are there already: {name}" for name, count in taken.items()]


def _same(teacher: str, records: Records, archive: Path) -> bool:
    """Is the teacher that is here, if one is, the recorded one?"""
    own = records.of(teacher)
    if not own.exists():
        return True
    if own.status() is None:
        return False
    with tarfile.open(archive) as opened:
        recorded = opened.extractfile(f"records/{teacher}/status.json")
        assert recorded
        return (own.directory / "status.json").read_bytes() == recorded.read()


def _take(k: str, runs_dir: Path, archive: Path, weights: Path | None) -> str:
    """One record with what was measured of it, whole or not at all; the archive's name."""
    make_directory(runs_dir / "records")
    with tempfile.TemporaryDirectory(dir=runs_dir, prefix=".taking-") as name:
        folder = Path(name)
        for path in filter(None, (archive, weights)):
            with tarfile.open(path) as opened:
                inside = [m for m in opened.getmembers() if Path(m.name).parts[1:2] == (k,)]
                opened.extractall(folder, inside, filter="data")
        if (folder / "measured" / k).exists():
            make_directory(runs_dir / "measured" / k)
            for file in (folder / "measured" / k).iterdir():
                file.replace(runs_dir / "measured" / k / file.name)
        (folder / "records" / k).rename(runs_dir / "records" / k)
    return archive.name
