"""How many malformed inputs there are."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_there_are_at_least_two_hundred_malformed_inputs() -> None:
    """Beside the 150 drawn ones and every byte at which a history is cut."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/malformed"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    counts = [int(line.rpartition(": ")[2]) for line in listed.splitlines() if ".py: " in line]
    assert sum(counts) >= 200
