"""``repro ui``: a server that ends with the command, on a port that is free."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from repro import serving
from tests.cli.invoke import error_of, repro

# A server with a worker that would live on, as MLflow's do. It writes both numbers.
SERVER = """
import subprocess, sys, os, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open(sys.argv[1] + ".new", "w") as file: file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(600)
"""


def alive(pid: int) -> bool:
    """A zombie, whose end nobody has asked for, is dead."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(") ")[2][0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_and_its_workers(tmp_path: Path, number: int) -> None:
    told = tmp_path / "pids"

    def ask_for_the_end() -> None:
        while not told.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    handlers = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)]
    threading.Thread(target=ask_for_the_end, daemon=True).start()
    assert serving.served([sys.executable, "-c", SERVER, str(told)]) == 0
    assert not any(alive(int(pid)) for pid in told.read_text().split())
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers


def test_a_server_that_ends_by_itself_gives_its_code() -> None:
    assert serving.served([sys.executable, "-c", "raise SystemExit(3)"]) == 3


def test_a_port_that_is_taken_is_told_before_any_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = repro("ui", "--port", str(port), "--runs-dir", tmp_path)
    assert error_of(result).startswith(f"port {port} cannot be used (Address already in use); ")
    assert "http://" not in result.output


def test_a_directory_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    message = error_of(repro("ui", "--runs-dir", tmp_path / "typo"))
    assert message == f"{tmp_path / 'typo'} holds no runs; train some with `repro run demo`"
    assert not (tmp_path / "typo").exists()
