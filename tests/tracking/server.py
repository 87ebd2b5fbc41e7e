"""MLflow's own server in this process, on loopback, which can be told to misbehave."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest


class Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None: ...


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Server:
    """``status``: what it answers with instead of what was asked; ``seconds`` before any answer;
    ``asked``: requests so far; ``before``: called with their number, from 1."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app, self.status, self.seconds = app, "", 0.0
        self.asked, self.before = 0, lambda _number: None
        self.http = make_server("127.0.0.1", 0, self.answer, Threads, Quiet)
        self.uri = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, environment: dict[str, Any], start: Callable[..., Any]) -> Any:
        self.asked += 1
        self.before(self.asked)
        time.sleep(self.seconds)
        if self.status:
            start(self.status, [("Content-Type", "text/plain")])
            return [b"go away"]
        return self.app(environment, start)

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@contextmanager
def serving(database: Path, artifacts: Path) -> Iterator[Server]:
    """What else MLflow's server needs to know stands in the environment while it lasts."""
    words = {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{database}",
        "_MLFLOW_SERVER_REGISTRY_STORE": f"sqlite:///{database}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": artifacts.as_uri(),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_TRACKING_URI": "",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in words.items():
            patch.setenv(name, value)
        from mlflow.server import app, handlers

        for store in ("_tracking_store", "_artifact_repo"):  # of another test's server
            patch.setattr(handlers, store, None)
        handlers._get_tracking_store()  # it overwrites MLFLOW_TRACKING_URI
        patch.setenv("MLFLOW_TRACKING_URI", "")
        server = Server(app)
        yield server
        server.stop()
