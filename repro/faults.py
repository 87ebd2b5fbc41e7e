"""Fault points: named moments at which a test ends the process, to see what that costs.

``REPRO_FAULT="status.json written:3"`` kills it, as ``kill -9`` does, the third time that it comes
by; of several, between commas, the first that it meets does. ``REPRO_FAULT_LOG=FILE`` appends a
line each time: process, name and path, between tabs. Without them nothing happens.
"""

import os
import signal
import threading
from pathlib import Path

_passed: dict[str, int] = {}
_lock = threading.Lock()  # writers, mirrors and training come by at the same time


def point(name: str, path: Path | None = None) -> None:
    """Come by; ``path``: what was written. Costs two look-ups where no test listens."""
    if "REPRO_FAULT" in os.environ or "REPRO_FAULT_LOG" in os.environ:
        _pass(name, path)


def _pass(name: str, path: Path | None) -> None:
    with _lock:
        count = _passed[name] = _passed.get(name, 0) + 1
        log = os.environ.get("REPRO_FAULT_LOG")
        if log:
            descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            os.write(descriptor, f"{os.getpid()}\t{name}\t{path or ''}\n".encode())
            os.close(descriptor)
        if f"{name}:{count}" in os.environ.get("REPRO_FAULT", "").split(","):
            os.kill(os.getpid(), signal.SIGKILL)
