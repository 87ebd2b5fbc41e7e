"""MLflow off the critical path: training marks its records, a thread brings them up to date.

The thread also opens MLflow's store: importing mlflow takes seconds, and neither a server that is
down nor a database that cannot be opened keeps training from beginning.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from repro.leases import Leases
from repro.limits import Interrupted
from repro.records import Record
from repro.runtime import Tracker

PAUSE_SECONDS = 60.0  # without MLflow after it failed
LOCKED_SECONDS = 5.0  # the same where a database was locked, for which MLflow has waited 20 s
STUCK_SECONDS = 30.0  # the client gives a dead server up after 2 tries of 10 s and a pause
INTERRUPTED_SECONDS = 1.0  # for everything after a signal: who sent it waits for the end
HELD_SECONDS = 0.5  # a launcher looks at a run that has ended for a moment only
REASON_CHARACTERS = 500  # a server may answer with a page
# A call takes 4 ms for one epoch of a student and 12 ms for ten (sqlite), and where two cores train
# this thread takes its time from them: short epochs share a call.
PERIOD_SECONDS = 2.0


class Resilient:
    """A mirror whose failures never stop training: a line is said, ``repro sync`` heals it.

    After a failure it leaves MLflow alone for a minute, so that a dead server does not slow steps.
    ``make_mirror`` is called when something is to be mirrored, and again after it failed.
    """

    def __init__(self, make_mirror: Callable[[], Tracker], say: Callable[[str], None]) -> None:
        self.make_mirror, self.say = make_mirror, say
        self.mirror: Tracker | None = None
        self.failed, self.resume_at = False, 0.0

    def update(self, record: Record) -> bool:
        """False where MLflow does not have it all: it failed, or is left alone for now, or another
        process holds the run.

        Raises what is wrong with this record, while MLflow may take others.
        """
        if time.monotonic() < self.resume_at:
            return False
        try:
            if self.mirror is None:
                self.mirror = self._made()
            return self.mirror.update(record) != "held"
        except Exception as error:
            if not of_mlflow(error):
                raise
            self._fail(error)
            return False

    def _made(self) -> Tracker:
        try:
            return self.make_mirror()
        except Exception as error:  # whatever it is, such as a broken installation
            raise Unusable(str(error) or type(error).__name__) from error

    def _fail(self, error: Exception) -> None:
        pause = LOCKED_SECONDS if "database is locked" in str(error) else PAUSE_SECONDS
        self.resume_at = time.monotonic() + pause
        if not self.failed:
            reason = str(error).partition("\n")[0][:REASON_CHARACTERS] or type(error).__name__
            self.say(f"MLflow: {reason}; training goes on, `repro sync` adds what is missing")
        self.failed = True

    def end_pause(self) -> None:
        self.resume_at = 0.0


def open_mirror(runs_dir: Path, leases: Leases | None = None) -> Tracker:
    """MLflow's store, opened. To be called off the critical path: the import takes seconds."""
    from repro.tracking import Mirror

    return Mirror(runs_dir, leases)


class Unusable(Exception):
    """MLflow could not even be opened."""


def of_mlflow(error: Exception) -> bool:
    """Did MLflow fail, and not the record, or a value that MLflow does not take?"""
    if isinstance(error, Unusable | OSError):
        return True
    from repro.tracking import TrackingError, refused

    return isinstance(error, TrackingError) and not refused(error)


class Live:
    """A tracker for which training never waits: ``update`` marks a record, a thread mirrors it.

    ``close``, or the end of ``with``, brings everything that is marked up to date.
    """

    def __init__(self, make_mirror: Callable[[], Tracker], say: Callable[[str], None]) -> None:
        self.tracker, self.say = Resilient(make_mirror, say), say
        self.marked: dict[str, Record] = {}  # by key
        self.lock = threading.Lock()  # of ``marked``
        self.closing = threading.Event()
        self.done = 0  # records that were tried
        self.said: set[str] = set()
        self.thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
        self.thread.start()

    def __enter__(self) -> "Live":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        signalled = isinstance(error, Interrupted | KeyboardInterrupt)
        self.close(INTERRUPTED_SECONDS if signalled else None)

    def update(self, record: Record) -> None:
        """Returns at once. After ``close`` it has no effect: ``repro sync`` adds the rest."""
        with self.lock:
            self.marked[record.key] = record

    def close(self, seconds: float | None = None) -> None:
        """One last try, also after a failure; ends when it fails, or nothing moves any more, or
        after ``seconds`` in any case."""
        self.tracker.end_pause()  # before ``closing``: a failure from here on is the last
        self.closing.set()
        if seconds is not None:
            self.thread.join(seconds)
            if self.thread.is_alive():
                self._tell("MLflow: no time for the rest; `repro sync` adds it")
            return
        done = -1
        while self.thread.is_alive() and done != self.done:
            done = self.done
            self.thread.join(STUCK_SECONDS)
        if self.thread.is_alive():
            self._tell(f"MLflow: no answer in {STUCK_SECONDS:.0f} s; `repro sync` adds the rest")

    def _work(self) -> None:
        while not self.closing.wait(PERIOD_SECONDS):
            self._mirror_marked()
        self._mirror_marked()
        if self.marked:  # another process may just be looking at it
            time.sleep(HELD_SECONDS)
            self._mirror_marked()

    def _mirror_marked(self) -> None:
        with self.lock:
            marked, self.marked = self.marked, {}
        for record in marked.values():
            self._mirror(record)

    def _mirror(self, record: Record) -> None:
        try:
            done = self.tracker.update(record)
        except BaseException as error:  # a damaged record, or a bug: it would end the thread unseen
            done = True  # until the record is marked again
            self._tell(f"MLflow: run {record.key[:12]}: {type(error).__name__}: {error}")
        if not done:
            with self.lock:
                self.marked.setdefault(record.key, record)
        self.done += 1

    def _tell(self, text: str) -> None:
        if text not in self.said:
            self.said.add(text)
            self.say(text)
