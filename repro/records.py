"""A run's own directory, ``<runs>/records/<key>/``: the source of truth; MLflow is a view of it.

``run.json`` what was asked for, ``history.jsonl`` a line an epoch, ``status.json``, ``checkpoint``
to resume from, ``weights.safetensors`` of the finished network, ``test_logits.npz``,
``environment.json``, and ``mlflow.json``, which maps tracking addresses to run ids. ``taken``: it
came from recorded results, most of them without weights and logits.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from repro import spec
from repro.errors import UserError
from repro.files import (
    DiskFull,
    append_line,
    make_directory,
    remove,
    write_atomically,
    write_reserved,
)

State = Literal["RUNNING", "FINISHED", "FAILED", "STOPPED"]
RecordState = State | Literal["DAMAGED"]  # its status cannot be read
ENDED: tuple[RecordState, ...] = ("FINISHED", "FAILED")  # never trained again
MALFORMED = (  # what JSON that holds something else than expected may raise
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
)
TAKEN = "taken"  # holds the name of the archive that a record came from
REASON_CHARACTERS = 200  # of an error: it may hold the whole content
LEFT_OVER = ("weights.safetensors", "test_logits.npz")


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def is_whole(number: object) -> bool:
    """An integer of 64 bits, such as a time: databases take no larger one."""
    return type(number) is int and 0 <= number < 1 << 63


@dataclass(frozen=True)
class Status:
    """Where a run stands. Times in milliseconds since 1970; ``final`` holds the final metrics.

    ``fence``: the fencing number of the lease under which it was written.
    """

    state: State
    started_ms: int
    ended_ms: int | None = None
    reason: str = ""
    final: tuple[tuple[str, float], ...] = ()
    fence: int = 0


@dataclass(frozen=True)
class Record:
    """The directory of one run. ``stage``: that of the lease under which it is written; every write
    raises LeaseLost once another process has taken it over."""

    directory: Path
    stage: Path | None = None

    @property
    def key(self) -> str:
        return self.directory.name

    @property
    def checkpoint(self) -> Path:
        return self.directory / "checkpoint"

    @property
    def weights(self) -> Path:
        return self.directory / "weights.safetensors"

    @property
    def test_logits(self) -> Path:
        return self.directory / "test_logits.npz"

    @property
    def taken(self) -> bool:
        return (self.directory / TAKEN).exists()

    def exists(self) -> bool:
        return (self.directory / "run.json").exists()

    def create(self, run: spec.Run, tags: dict[str, str]) -> None:
        """Write ``run.json`` unless it is there. Raises UserError if it describes another run."""
        if self.exists():
            if spec.key(self.run()) != self.key:
                raise UserError(f"{self.directory} holds another run than its name says; remove it")
            return
        make_directory(self.directory)
        data = {"schema": spec.SCHEMA, "key": self.key, "tags": tags, "run": spec.encode(run)}
        self.write_json("run.json", data)

    def run(self) -> spec.Run:
        try:
            run = spec.decode(self._json("run.json")["run"])
        except MALFORMED as error:
            raise self._damaged("run.json", repr(error)) from error
        if not isinstance(run, spec.Run):
            raise self._damaged("run.json", "it holds no run")
        return run

    def tags(self) -> dict[str, str]:
        try:
            return dict(self._json("run.json")["tags"])
        except MALFORMED as error:
            raise self._damaged("run.json", repr(error)) from error

    def origin(self) -> str:
        """The name of the file that an imported teacher came from."""
        return str(self.environment().get("source_file", "unknown file"))

    def environment(self) -> dict[str, Any]:
        """Empty where it was not written."""
        found = self.read_json("environment.json") or {}
        if not isinstance(found, dict):
            raise self._damaged("environment.json", "it holds no names")
        return found

    def status(self) -> Status | None:
        """None before the run began."""
        if not (self.directory / "status.json").exists():
            return None
        try:
            data = self._json("status.json")
            if data["state"] not in get_args(State):
                raise ValueError(f"unknown state {data['state']!r}")
            status = Status(**data | {"final": tuple((n, float(v)) for n, v in data["final"])})
            times = (status.started_ms, status.fence, status.ended_ms or 0)
            if not all(map(is_whole, times)) or not isinstance(data["reason"], str):
                raise ValueError("a number is none")
            return status
        except MALFORMED as error:
            raise self._damaged("status.json", repr(error)) from error

    def write_status(self, status: Status) -> None:
        """Also where the disk is full, once: a lease keeps room for it."""
        content = json.dumps(vars(status), indent=1)
        try:
            self.write("status.json", content)
        except DiskFull:
            if self.stage is None:
                raise
            write_reserved(self.directory / "status.json", content, self.stage)

    def fence(self) -> int:
        """The last fencing number that was written; 0 where none is known."""
        try:
            status = self.status()
        except UserError:
            return 0
        return status.fence if status else 0

    def history(self) -> list[dict[str, Any]]:
        """One entry a finished epoch. A torn last line (a kill while writing) does not count.

        Raises UserError for any other line that is not the next epoch's JSON.
        """
        return [self._entry(line, epoch) for epoch, line in enumerate(self._lines())]

    def whole_lines(self) -> list[bytes]:
        """The lines of the history up to the first that is damaged.

        Raises UserError where the file cannot be read, which says nothing of its content.
        """
        lines = self._lines()
        for epoch, line in enumerate(lines):
            try:
                self._entry(line, epoch)
            except UserError:
                return lines[:epoch]
        return lines

    def _lines(self) -> list[bytes]:
        """Whole lines end in a newline."""
        path = self.directory / "history.jsonl"
        try:
            return path.read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserError(f"{path} cannot be read ({error.strerror}): see to it first") from error

    def _entry(self, line: bytes, epoch: int) -> dict[str, Any]:
        try:
            entry = json.loads(line)
            if entry["epoch"] == epoch and isinstance(entry["metrics"], dict):
                return entry
        except MALFORMED:
            pass
        raise UserError(
            f"{self.directory / 'history.jsonl'} line {epoch + 1} is damaged; "
            f"remove {self.directory} to train this run again"
        )

    def append(self, entry: dict[str, Any]) -> None:
        append_line(self.directory / "history.jsonl", json.dumps(entry), self.stage)

    def cut_history(self, epochs: int) -> None:
        """Keep the first ``epochs`` entries: what lies beyond the checkpoint is trained again."""
        lines = [json.dumps(entry) + "\n" for entry in self.history()[:epochs]]
        self.write("history.jsonl", "".join(lines))

    def restart(self) -> None:
        """Forget what was trained; the identity stays."""
        for name in ("history.jsonl", "checkpoint", "checkpoint.previous", *LEFT_OVER):
            remove(self.directory / name, self.stage)

    def write_json(self, name: str, data: Any) -> None:
        self.write(name, json.dumps(data, indent=1))

    def write(self, name: str, content: bytes | str) -> None:
        """A file of the record, whole or not at all."""
        write_atomically(self.directory / name, content, self.stage)

    def read_json(self, name: str) -> Any:
        """The content of a side file, or None where it does not exist."""
        return self._json(name) if (self.directory / name).exists() else None

    def _json(self, name: str) -> Any:
        try:
            return json.loads((self.directory / name).read_text())
        except (OSError, ValueError, RecursionError) as error:
            raise self._damaged(name, str(error)) from error

    def _damaged(self, name: str, reason: str) -> UserError:
        return UserError(
            f"{self.directory / name} cannot be read ({reason[:REASON_CHARACTERS]}); "
            f"remove {self.directory} to train this run again"
        )


@dataclass(frozen=True)
class Records:
    """All records of a runs directory; finished ones under ``recorded/`` count as finished too."""

    runs_dir: Path

    def of(self, key: str) -> Record:
        """The run's own record where there is one, else the recorded one, else where it will be."""
        own, recorded = self.own(key), Record(self.runs_dir / "recorded" / key)
        return recorded if recorded.exists() and not own.exists() else own

    def own(self, key: str) -> Record:
        return Record(self.runs_dir / "records" / key)

    def __iter__(self) -> Iterator[Record]:
        root = self.runs_dir / "records"
        records = (Record(path) for path in sorted(root.iterdir() if root.is_dir() else ()))
        return (record for record in records if record.exists())

    def keys(self) -> set[str]:
        """Those that may have a record, in two listings: on a file system of many machines to ask
        for each of 10,000 that have none takes half a minute."""
        folders = (self.runs_dir / name for name in ("records", "recorded"))
        return {path.name for folder in folders if folder.is_dir() for path in folder.iterdir()}

    def state(self, key: str) -> RecordState | None:
        """None before the run began."""
        record = self.of(key)
        try:
            status = record.status() if record.exists() else None
        except UserError:
            return "DAMAGED"
        return status.state if status else None
