"""Work off the critical path: a thread that takes one thing after the other."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType


class Background:
    """Does what it is given, in order, on a thread of its own, and lags by one thing at most.

    ``submit`` waits until what was given before is done. What it raised is raised there, or by
    ``flush``, or when the block ends in which this is a context; then nothing is left to do.
    """

    def __init__(self) -> None:
        self.thread = ThreadPoolExecutor(max_workers=1)
        self.last: Future[None] | None = None

    def submit(self, work: Callable[[], None]) -> None:
        self.flush()
        self.last = self.thread.submit(work)

    def flush(self) -> None:
        """Wait until everything is done. Raises what it raised, once."""
        last = self.last
        try:
            if last:
                last.result()
        finally:  # a wait that is interrupted is to be waited for again
            if last and last.done():
                self.last = None

    def __enter__(self) -> "Background":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.thread.shutdown()
        if error is None:
            self.flush()
