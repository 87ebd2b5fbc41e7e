"""MLflow off the critical path: training marks its records, a thread brings them up to date."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

from repro.records import Record
from repro.tracking import Mirror, TrackingError

PAUSE_SECONDS = 60.0  # without MLflow after it failed
STUCK_SECONDS = 30.0  # the client gives a dead server up after 2 tries of 10 s and a pause
# A call takes 4 ms for one epoch of a student and 12 ms for ten (sqlite), and where two cores train
# this thread takes its time from them: short epochs share a call.
PERIOD_SECONDS = 2.0


class Resilient:
    """A mirror whose failures never stop training: a line is said, ``repro sync`` heals it.

    After a failure it leaves MLflow alone for a minute, so that a dead server does not slow steps.
    """

    def __init__(self, mirror: Mirror, say: Callable[[str], None]) -> None:
        self.mirror, self.say, self.failed, self.resume_at = mirror, say, False, 0.0

    def update(self, record: Record) -> bool:
        """False where MLflow does not have it all: it failed, or is left alone for now."""
        if time.monotonic() < self.resume_at:
            return False
        try:
            self.mirror.update(record)
        except TrackingError as error:
            self.resume_at = time.monotonic() + PAUSE_SECONDS
            if not self.failed:
                reason = str(error).partition("\n")[0] or type(error).__name__
                self.say(f"MLflow: {reason}; training goes on, `repro sync` adds what is missing")
            self.failed = True
            return False
        return True

    def end_pause(self) -> None:
        self.resume_at = 0.0


class Live:
    """A tracker for which training never waits: ``update`` marks a record, a thread mirrors it.

    ``close``, or the end of ``with``, brings everything that is marked up to date.
    """

    def __init__(self, mirror: Mirror, say: Callable[[str], None]) -> None:
        self.tracker, self.say = Resilient(mirror, say), say
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
        self.close()

    def update(self, record: Record) -> None:
        """Returns at once. After ``close`` it has no effect: ``repro sync`` adds the rest."""
        with self.lock:
            self.marked[record.key] = record

    def close(self) -> None:
        """One last try, also after a failure; ends when it fails, or nothing moves any more."""
        self.tracker.end_pause()  # before ``closing``: a failure from here on is the last
        self.closing.set()
        done = -1
        while self.thread.is_alive() and done != self.done:
            done = self.done
            self.thread.join(STUCK_SECONDS)
        if self.thread.is_alive():
            self._tell(f"MLflow: no answer in {STUCK_SECONDS:.0f} s; `repro sync` adds the rest")

    def _work(self) -> None:
        last = False
        while not last:
            last = self.closing.wait(PERIOD_SECONDS)
            with self.lock:
                marked, self.marked = self.marked, {}
            for record in marked.values():
                self._mirror(record)

    def _mirror(self, record: Record) -> None:
        try:
            done = self.tracker.update(record)
        except Exception as error:  # a damaged record, or a bug: it would end the thread unseen
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
