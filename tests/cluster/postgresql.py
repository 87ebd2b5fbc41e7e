"""PostgreSQL of Debian's packages in a temporary directory, and MLflow's server on it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from repro.serving import ENVIRONMENT

HOST, OWNER = "127.0.0.1", "postgres"  # of the database's processes, which root may not own
PROGRAMS = ("initdb", "pg_ctl", "createdb")
# Gunicorn's workers answer in 8 ms what those of ``--workers 4`` need 60 ms for: the latter leave
# Nagle's algorithm on, which waits 40 ms until the client has acknowledged half of an answer.
WORKERS = ("--gunicorn-opts", "--workers 4 --threads 4")
ONE_WORKER = ("--workers", "1")
START_SECONDS = 120.0


def lacking() -> str:
    """What PostgreSQL needs and is not here; "" where nothing is lacking."""
    if programs() is None:
        return "PostgreSQL is not installed"
    if find_spec("psycopg2") is None:
        return "psycopg2 is not installed"
    return "" if os.getuid() or shutil.which("runuser") else "root cannot become postgres"


def programs() -> Path | None:
    """Where ``initdb`` and its like are; Debian keeps them out of the PATH."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name)
    on_path = shutil.which("initdb")
    found = [*debian[-1:], *([Path(on_path).resolve().parent] if on_path else [])]
    return next((f for f in found if all((f / name).exists() for name in PROGRAMS)), None)


def run(*words: str | Path) -> None:
    """A program of PostgreSQL's, as its owner. Raises RuntimeError with what it says."""
    folder = programs()
    assert folder
    become = () if os.getuid() else ("runuser", "-u", OWNER, "--")
    command = [*become, str(folder / words[0]), *map(str, words[1:])]
    done = subprocess.run(
        command, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}")


@contextmanager
def postgresql(database: str = "mlflow") -> Iterator[str]:
    """The address of an empty database."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="pg") as name:  # short: it holds a socket
        folder = Path(name)
        if not os.getuid():
            shutil.chown(folder, OWNER)
        data = folder / "data"
        run("initdb", "-D", data, "-U", OWNER, "-A", "trust", "-E", "UTF8", "--no-locale")
        options = f"-p {port} -k {folder} -c listen_addresses={HOST}"
        run("pg_ctl", "-D", data, "-o", options, "-l", folder / "log", "-w", "start")
        try:
            run("createdb", "-h", HOST, "-p", str(port), "-U", OWNER, database)
            yield f"postgresql+psycopg2://{OWNER}@{HOST}:{port}/{database}"
        finally:
            run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """MLflow's server on the database at ``store``; artifacts and its log lie in ``folder``."""

    store: str
    folder: Path
    port: int
    workers: tuple[str, ...] = WORKERS
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def artifacts(self) -> Path:
        return self.folder / "artifacts"

    def start(self) -> None:
        """Returns when it answers. Raises TimeoutError."""
        store = ["--backend-store-uri", self.store, *self.workers]
        artifacts = ["--serve-artifacts", "--artifacts-destination", str(self.artifacts)]
        place = ["--host", HOST, "--port", str(self.port)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", "server", *store, *artifacts, *place],
                stdout=log,
                stderr=log,
                env=os.environ | ENVIRONMENT | {"MLFLOW_TRACKING_URI": ""},
                start_new_session=True,  # its workers end with it
            )
        end = time.monotonic() + START_SECONDS
        while not self.answers():
            if time.monotonic() > end:
                log_end = (self.folder / "log").read_text()[-2000:]
                raise TimeoutError(f"MLflow's server does not answer: {log_end}")
            time.sleep(0.2)

    def answers(self) -> bool:
        try:
            with urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def kill(self) -> None:
        """At once, as a machine that fails."""
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def log(self) -> str:
        return (self.folder / "log").read_text()
