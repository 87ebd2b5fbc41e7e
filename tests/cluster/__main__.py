"""``python -m tests.cluster``: these tests within 15 minutes, and what ran of them in the end.

Further words are pytest's.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

NAMES = ("Ray", "SLURM", "PostgreSQL")
SECONDS = 900.0
DID_NOT_RUN, TIMED_OUT = "did not run", 124


def lines_of(told: str) -> dict[str, str]:
    """The last words of each name (see ``told.tell``)."""
    words = dict(line.split(": ", 1) for line in told.splitlines())
    return {name: words.get(name, DID_NOT_RUN) for name in NAMES}


def run(command: Sequence[str], told: Path, seconds: float = SECONDS) -> int:
    """The exit code; what it has started ends with it."""
    environment = os.environ | {"REPRO_CLUSTER_TOLD": str(told)}
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        print(f"not finished within {seconds:.0f} s")
        return TIMED_OUT
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            end(process, number)


def end(process: subprocess.Popen[bytes], number: int) -> None:
    """SIGTERM lets fixtures stop their servers."""
    try:
        os.killpg(process.pid, number)
        process.wait(10)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        return


def main(words: Sequence[str], seconds: float = SECONDS) -> int:
    """0 where everything passed, and ran or was stood in for."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder, "told")
        told.touch()
        code = run([sys.executable, "-m", "pytest", *words], told, seconds)
        lines = lines_of(told.read_text())
    for name, what in lines.items():
        print(f"{name}: {what}")
    return code or int(DID_NOT_RUN in lines.values())


if __name__ == "__main__":
    sys.exit(main(["tests/cluster", *sys.argv[1:]]))
