"""Processes that decode live through signals to the group of the one that trains."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from repro.shelter import STOPS
from tests import photographs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return photographs.write(tmp_path / "photos", train=8, val=1)


def test_a_signal_to_the_group_ends_no_process_that_decodes(photos: Path) -> None:
    command = [sys.executable, "-m", "tests.data.signalled", str(photos)]
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, start_new_session=True
    )
    said = ran.stdout.splitlines()
    assert said == [*(number.name for number in STOPS), "48 images"], ran.stderr
    assert ran.returncode == 0


def test_it_ends_with_the_one_that_trains(photos: Path) -> None:
    command = [sys.executable, "-m", "tests.data.signalled", str(photos), "killed"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, start_new_session=True) as ran:
        assert ran.stdout
        (decoding,) = map(int, ran.stdout.readline().split())
        ran.wait(120)
        assert ran.returncode == -signal.SIGKILL
    for _ in range(100):
        try:
            os.kill(decoding, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError(f"{decoding} still runs")
