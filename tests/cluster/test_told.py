"""What ``make test-cluster`` says at its end."""

import sys
from pathlib import Path

import pytest

from tests.cluster.__main__ import DID_NOT_RUN, TIMED_OUT, lines_of, main, run
from tests.cluster.told import tell


def test_the_last_words_of_each_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "told"
    monkeypatch.setenv("REPRO_CLUSTER_TOLD", str(path))
    tell("SLURM", "stood in: no munge: it is not installed")
    tell("Ray", "began")
    tell("Ray", "ran")
    assert lines_of(path.read_text()) == {
        "Ray": "ran",
        "SLURM": "stood in: no munge: it is not installed",
        "PostgreSQL": DID_NOT_RUN,
    }


def test_what_did_not_run_is_no_success(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 1
    out = capfd.readouterr().out.splitlines()
    assert out[-3:] == [f"{name}: {DID_NOT_RUN}" for name in ("Ray", "SLURM", "PostgreSQL")]


def test_what_takes_too_long_ends(tmp_path: Path) -> None:
    forever = [sys.executable, "-c", "import time; time.sleep(60)"]
    assert run(forever, tmp_path / "told", 0.2) == TIMED_OUT
