"""A finished demo in a runs directory, and ``repro ui`` on it."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from mlflow import MlflowClient
from mlflow.entities import Experiment

from repro.tracking import open_store
from tests.browser.chromium import until

SUMMARY, TRAINED = "demo summary", "digits demo"
DRAWN = "tables and figures, demo"  # the run of the summary that has them as artifacts
STARTS_SECONDS = 180.0  # MLflow's server on a busy machine


def repro(*words: str) -> None:
    """A command, its output shown. Raises CalledProcessError where it fails."""
    subprocess.run([sys.executable, "-m", "repro", *words], check=True)


def finish_demo(runs_dir: Path) -> None:
    """Train the demo unless it is finished, draw it and report it alone."""
    for verb in ("run", "tables", "figures", "report"):
        repro(verb, "demo", "--runs-dir", str(runs_dir))


def experiment(client: MlflowClient, name: str) -> Experiment:
    (found,) = [e for e in client.search_experiments() if e.name == name]
    return found


def named_runs(runs_dir: Path, name: str) -> list[str]:
    """The names of an experiment's runs."""
    client = open_store(runs_dir)
    runs = client.search_runs([experiment(client, name).experiment_id], max_results=1000)
    return [run.info.run_name for run in runs]


def note(runs_dir: Path, name: str) -> str:
    return experiment(open_store(runs_dir), name).tags["mlflow.note.content"]


def drawn_figures(runs_dir: Path) -> list[tuple[str, str]]:
    """Every PNG of the demo in MLflow: the id of the run that holds it, and its path there."""
    client = open_store(runs_dir)
    runs = client.search_runs([experiment(client, SUMMARY).experiment_id], max_results=1000)
    ids = [run.info.run_id for run in runs if run.info.run_name == DRAWN]
    paths = [(run_id, path) for run_id in ids for path in files(client, run_id, "")]
    return [(run_id, path) for run_id, path in paths if path.endswith(".png")]


def files(client: MlflowClient, run_id: str, folder: str) -> Iterator[str]:
    for item in client.list_artifacts(run_id, folder or None):
        yield from files(client, run_id, item.path) if item.is_dir else (item.path,)


@contextmanager
def ui(runs_dir: Path, log: Path) -> Iterator[dict[str, str]]:
    """``repro ui`` on a free port: the address that it prints for each experiment."""
    port = free_port()
    command = [sys.executable, "-m", "repro", "ui"]
    told = {"PYTHONUNBUFFERED": "1", "BROWSER": "true"}  # `true` opens no browser of the user's
    with log.open("w") as file:
        process = subprocess.Popen(
            [*command, "--runs-dir", str(runs_dir), "--port", str(port)],
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | told,
        )
    try:
        until("MLflow's server answers", lambda: answers(process, port, log), STARTS_SECONDS)
        yield until("repro ui has printed addresses", lambda: printed(log))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def printed(log: Path) -> dict[str, str]:
    return dict(re.findall(r"^(.+?): (http://\S+)$", log.read_text(), re.MULTILINE))


def answers(process: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert process.poll() is None, f"repro ui has ended: {log.read_text()}"
    try:
        with urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            return reply.status == 200
    except (URLError, TimeoutError, ConnectionError):
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
