"""``repro ui``: MLflow's own server on this machine, which ends when the command does."""

import os
import signal
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from threading import Event, Thread
from types import FrameType
from typing import Any
from urllib.request import ProxyHandler, build_opener

from rich.console import Console

from repro import notes
from repro.errors import UserError
from repro.tracking import open_store, told, tracking_uri

HOST = "127.0.0.1"
ENDING_SECONDS = 5.0  # for the server to end in after a signal, before it is killed
ASKING_SECONDS = 0.5
FEW = ("--workers", "1")  # starts in a third of the time of four, and serves one reader as well
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONWARNINGS": "ignore::DeprecationWarning",
}


class Ended(Exception):
    """A signal asks for the end."""


def ui(
    console: Console,
    runs_dir: Path,
    port: int,
    *,
    browser: bool = True,
    making: Callable[[], object] | None = None,
) -> int:
    """Serve MLflow's UI on loopback until interrupted. Returns the exit code.

    Once it answers, the addresses of experiments are printed and, with ``browser``, the first one
    is opened. ``making`` runs while the server does; then all addresses are printed. A server that
    MLFLOW_TRACKING_URI names is there already. Raises UserError where there is nothing to show, or
    the port is taken.
    """
    uri = tracking_uri(runs_dir)
    if uri.startswith("sqlite:") and not runs_dir.exists():
        raise UserError(f"{runs_dir} holds no runs; train some with `repro run demo`")
    remote = is_remote(uri)
    base = uri.rstrip("/") if remote else f"http://{HOST}:{port}"
    show = partial(announce, console, known_addresses(runs_dir, base), browser=browser)

    def make() -> None:
        if making:
            making()
            announce(console, known_addresses(runs_dir, base), browser=False)
            console.print("Ctrl-C stops the server" if not remote else "done")

    if remote:
        show()
        make()
        return 0
    check_free(port)
    console.print("starting MLflow's server, which takes up to a minute; stop it with Ctrl-C")
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri, *FEW]
    return served(
        [*command, "--host", HOST, "--port", str(port)], partial(once_answering, base, show), make
    )


def is_remote(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def known_addresses(runs_dir: Path, base: str) -> dict[str, str]:
    with told(tracking_uri(runs_dir)):
        return addresses(open_store(runs_dir).search_experiments(), base)


def addresses(experiments: Iterable[Any], base: str) -> dict[str, str]:
    """By name those that show runs, with the columns that were chosen for them; experiments of runs
    come before summaries of them."""
    known = [e for e in experiments if e.name != "Default"]  # MLflow's own, empty
    known.sort(key=lambda e: (e.name.endswith(" summary"), -e.last_update_time))
    return {e.name: f"{base}/{notes.place(e.experiment_id, notes.view_of(e.tags))}" for e in known}


def announce(console: Console, found: dict[str, str], *, browser: bool) -> None:
    for name, address in found.items():
        console.print(f"{name}: {address}", highlight=False, markup=False)
    if found and browser and has_display():
        with suppress(webbrowser.Error):
            webbrowser.open(next(iter(found.values())))


def has_display() -> bool:
    """Without one, Python would start a browser in the terminal, where there is one."""
    unix = sys.platform not in ("darwin", "win32")
    return not unix or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def once_answering(base: str, then: Callable[[], None], ended: Event) -> None:
    """Call ``then`` when the server answers, unless it ends before."""
    here = build_opener(ProxyHandler({}))  # a proxy of the environment does not know this machine
    while not ended.wait(ASKING_SECONDS):
        with suppress(OSError), here.open(f"{base}/health", timeout=5) as answer:
            if answer.status == HTTPStatus.OK:
                then()
                return


def check_free(port: int) -> None:
    """Raises UserError where something listens already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"port {port} cannot be used ({error.strerror}); "
                "give another one: --port 5001, or PORT=5001 after make and its target"
            ) from error


def served(
    command: list[str],
    meanwhile: Callable[[Event], object] = Event.wait,
    making: Callable[[], object] = lambda: None,
) -> int:
    """Run a server in a session of its own until it ends or a signal asks for it: with all of its
    workers, which a signal to the server alone would leave behind.

    ``meanwhile`` runs in a thread; it gets an event that is set at the end. ``making`` runs here.
    """
    ended = Event()
    before = {number: signal.signal(number, _end) for number in (signal.SIGINT, signal.SIGTERM)}
    process = subprocess.Popen(command, env=os.environ | ENVIRONMENT, start_new_session=True)
    try:
        Thread(target=meanwhile, args=(ended,), daemon=True).start()
        making()
        return process.wait()
    except Ended:
        return 0
    finally:
        ended.set()
        for number in before:
            signal.signal(number, signal.SIG_IGN)  # once is enough
        _stop(process)
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise Ended


def _stop(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDING_SECONDS if number == signal.SIGTERM else None)
