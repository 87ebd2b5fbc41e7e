"""``repro ui``: a server that ends with the command, on a port that is free."""

import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from repro import serving
from repro.errors import UserError
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
    killed = [int(pid) for pid in told.read_text().split()]
    patience = time.monotonic() + 10  # of a busy machine: a signal takes its time
    while any(map(alive, killed)) and time.monotonic() < patience:
        time.sleep(0.01)
    assert not any(map(alive, killed))
    assert [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGINT)] == handlers


def test_what_is_made_meanwhile_finds_the_server_alive_and_its_error_ends_it(
    tmp_path: Path,
) -> None:
    told, seen = tmp_path / "pids", []

    def make() -> None:
        while not told.exists():
            time.sleep(0.01)
        seen.extend(map(alive, map(int, told.read_text().split())))
        raise UserError("cannot be made")

    with pytest.raises(UserError, match="cannot be made"):
        serving.served([sys.executable, "-c", SERVER, str(told)], making=make)
    assert seen == [True, True]
    assert not alive(int(told.read_text().split()[0]))


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


def test_browse_tells_of_a_taken_port_before_it_makes_anything(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = repro("browse", "--port", str(port), "--runs-dir", tmp_path / "browse")
    assert error_of(result).startswith(f"port {port} cannot be used")
    assert not (tmp_path / "browse").exists()


def test_a_directory_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    message = error_of(repro("ui", "--runs-dir", tmp_path / "typo"))
    assert message == f"{tmp_path / 'typo'} holds no runs; train some with `repro run demo`"
    assert not (tmp_path / "typo").exists()


ADDRESS = "/#/experiments/{}/runs?workflowType=machine_learning"


@dataclass(frozen=True)
class Shown:
    """An experiment as MLflow tells of it."""

    experiment_id: str
    name: str
    last_update_time: int
    tags: dict[str, str] = field(default_factory=dict)


def test_addresses_show_runs_those_of_training_first_with_chosen_columns() -> None:
    found = serving.addresses(
        [
            Shown("0", "Default", 9),
            Shown("2", "demo summary", 8, {"mlflow.sharedViewState.cells": "{}"}),
            Shown("1", "digits demo", 5, {"mlflow.sharedViewState.accuracy": "{}"}),
            Shown("3", "somebody's", 7),
        ],
        "http://there",
    )
    assert list(found.items()) == [
        ("somebody's", f"http://there{ADDRESS.format(3)}"),
        ("digits demo", f"http://there{ADDRESS.format(1)}&viewStateShareKey=accuracy"),
        ("demo summary", f"http://there{ADDRESS.format(2)}&viewStateShareKey=cells"),
    ]


@pytest.mark.parametrize(
    ("display", "browser", "opened"), [(":0", True, 1), ("", True, 0), (":0", False, 0)]
)
def test_a_browser_is_opened_where_there_is_a_display_and_it_is_wanted(
    monkeypatch: pytest.MonkeyPatch, display: str, browser: bool, opened: int
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(webbrowser, "open", lambda address: asked.append(address))
    console = Console(file=io.StringIO())
    serving.announce(console, {"first": "http://a", "second": "http://b"}, browser=browser)
    assert asked == ["http://a"][:opened]
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().split("\n")[:2] == ["first: http://a", "second: http://b"]


def test_without_any_browser_the_addresses_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: str) -> None:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", none)
    serving.announce(Console(file=io.StringIO()), {"first": "http://a"}, browser=True)


class Late(BaseHTTPRequestHandler):
    """Answers from the third request on."""

    asked = 0

    def do_GET(self) -> None:
        Late.asked += 1
        self.send_response(200 if Late.asked > 2 else 503)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def test_addresses_come_when_the_server_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "ASKING_SECONDS", 0.01)
    seen: list[int] = []
    with HTTPServer(("127.0.0.1", 0), Late) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        serving.once_answering(base, lambda: seen.append(Late.asked), threading.Event())
        server.shutdown()
    assert seen == [3]


def test_of_a_server_that_ends_before_it_answers_nothing_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serving, "ASKING_SECONDS", 0.01)
    ended = threading.Event()
    threading.Timer(0.1, ended.set).start()
    serving.once_answering("http://127.0.0.1:1", lambda: pytest.fail("told"), ended)


def test_of_a_server_that_is_there_only_the_addresses_are_printed(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Client:
        def search_experiments(self) -> list[Shown]:
            return [Shown("4", "digits demo", 1)]

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://there:5000/")
    monkeypatch.setattr(serving, "open_store", lambda _: Client())
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started"))
    result = repro("ui", "--no-open", "--runs-dir", runs_dir)
    assert result.exit_code == 0
    assert result.output == f"digits demo: http://there:5000{ADDRESS.format(4)}\n"
