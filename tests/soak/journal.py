"""What processes said at their fault points, and what must hold of it."""

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

STEP, TAKEN = "step", "lease taken"
WRITES = (" written", " appended")


@dataclass(frozen=True)
class Line:
    pid: int
    name: str
    path: Path

    @property
    def record(self) -> str:
        """The key of the record that was written; empty for anything else."""
        here = self.path if self.name == TAKEN else self.path.parent
        return here.name if here.parent.name == "records" else ""


@dataclass
class Journal:
    """The fault log, read as it grows. ``last``: by process, the last point that it came by."""

    path: Path
    lines: list[Line] = field(default_factory=list)
    last: dict[int, str] = field(default_factory=dict)
    trained: set[int] = field(default_factory=set)  # processes that began a batch
    offset: int = 0

    def read(self) -> None:
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        for text in whole.decode().splitlines():
            pid, name, path = text.split("\t")
            line = Line(int(pid), name, Path(path))
            self.last[line.pid] = name
            if name == STEP:
                self.trained.add(line.pid)
            else:
                self.lines.append(line)

    def names(self) -> list[str]:
        return list(dict.fromkeys(line.name for line in self.lines))


def doubled(lines: list[Line], paused: frozenset[int] = frozenset()) -> list[Line]:
    """Writes to a record by a process whose lease of it another process has taken since.

    ``paused``: processes that were stopped for a while. Such a one may have written before it was
    stopped and say so after: its first line about a record that it has lost does not count.
    """
    owner: dict[str, int] = {}
    excused: dict[tuple[int, str], bool] = defaultdict(bool)
    found = []
    for line in lines:
        key = line.record
        if not key:
            continue
        if line.name == TAKEN:
            owner[key] = line.pid
            excused[line.pid, key] = False
        elif line.name.endswith(WRITES) and owner.get(key) != line.pid:
            if line.pid in paused and not excused[line.pid, key]:
                excused[line.pid, key] = True
            else:
                found.append(line)
    return found


def epochs_written(lines: list[Line]) -> int:
    return sum(line.name == "history.jsonl appended" for line in lines)
