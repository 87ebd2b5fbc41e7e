"""A tracking server that comes and goes."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

START_SECONDS = 60.0
ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """MLflow's server on ``directory``/server.db, on loopback."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        return self.directory / "server.db"

    def start(self) -> None:
        words = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        store = ["--backend-store-uri", f"sqlite:///{self.database}", "--workers", "1"]
        artifacts = ["--artifacts-destination", str(self.directory / "server-artifacts")]
        self.process = subprocess.Popen(
            [sys.executable, *words, *store, *artifacts],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | ENVIRONMENT,
            start_new_session=True,  # its workers end with it
        )

    def stop(self) -> None:
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def wait(self) -> None:
        """Until it answers. Raises TimeoutError."""
        began = time.monotonic()
        while time.monotonic() - began < START_SECONDS:
            try:
                with urlopen(f"{self.uri}/health", timeout=2):
                    return
            except (URLError, OSError):
                time.sleep(0.2)
        raise TimeoutError(f"no answer from {self.uri} in {START_SECONDS:.0f} s")
