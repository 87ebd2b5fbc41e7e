"""The short soak: one grid under kills, as a command of its own: it forks."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_grid_under_kills_ends_as_if_nothing_had_happened() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--short"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    last = ran.stdout.splitlines()[-1]
    assert re.fullmatch(r"[1-9]\d* kills, 0 lost, 0 doubled, 0 stale", last)
