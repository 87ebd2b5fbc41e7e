"""``repro ui``: MLflow's own server on this machine, which ends when the command does."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType

from rich.console import Console

from repro.errors import UserError
from repro.tracking import open_store, told, tracking_uri

HOST = "127.0.0.1"
ENDING_SECONDS = 5.0  # for the server to end in after a signal, before it is killed
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "PYTHONWARNINGS": "ignore::DeprecationWarning",
}


class Ended(Exception):
    """A signal asks for the end."""


def ui(console: Console, runs_dir: Path, port: int) -> int:
    """Serve MLflow's UI on loopback until interrupted. Returns the exit code.

    Raises UserError where there is nothing to show, or the port is taken.
    """
    uri = tracking_uri(runs_dir)
    if uri.startswith("sqlite:") and not runs_dir.exists():
        raise UserError(f"{runs_dir} holds no runs; train some with `repro run demo`")
    with told(uri):
        experiments = open_store(runs_dir).search_experiments()
    check_free(port)
    console.print("starting MLflow's server, which takes up to a minute; stop it with Ctrl-C")
    for experiment in experiments:
        if experiment.name == "Default":  # MLflow's own, empty
            continue
        where = f"/#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"
        line = f"{experiment.name}: http://{HOST}:{port}{where}"
        console.print(line, highlight=False, markup=False)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", uri]
    return served([*command, "--host", HOST, "--port", str(port)])


def check_free(port: int) -> None:
    """Raises UserError where something listens already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"port {port} cannot be used ({error.strerror}); "
                "give another one: --port 5001, or make ui PORT=5001"
            ) from error


def served(command: list[str]) -> int:
    """Run a server in a session of its own until it ends or a signal asks for it: with all of its
    workers, which a signal to the server alone would leave behind."""
    before = {number: signal.signal(number, _end) for number in (signal.SIGINT, signal.SIGTERM)}
    process = subprocess.Popen(command, env=os.environ | ENVIRONMENT, start_new_session=True)
    try:
        return process.wait()
    except Ended:
        return 0
    finally:
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
