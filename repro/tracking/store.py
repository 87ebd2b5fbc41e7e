"""MLflow's store: where it is, opened, and what goes wrong with it."""

import fcntl
import logging
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # read when mlflow is imported
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines a run
# Seven retries with growing pauses keep one call to a dead server busy for over a minute.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # seconds

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from repro.errors import UserError
from repro.files import cannot_write, make_directory

TrackingError = (MlflowException, SQLAlchemyError, sqlite3.Error, OSError)
REASON = 500  # characters of an error: its cause comes last
NAME = re.compile(r"[^/\\\x00-\x1f]+")  # of an experiment; it names a directory of artifacts, too


def tracking_uri(runs_dir: Path) -> str:
    """MLFLOW_TRACKING_URI where it is set, else sqlite in the runs directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{own_database(runs_dir)}"


def own_database(runs_dir: Path) -> Path:
    return (runs_dir / "mlflow.db").resolve()


def open_store(runs_dir: Path) -> MlflowClient:
    """The client; a local database is created once, under a lock, in WAL mode.

    Raises UserError where the directory cannot be written or the file is not a database.
    """
    uri = tracking_uri(runs_dir)
    if not uri.startswith("sqlite:///"):
        return MlflowClient(uri)
    database = Path(uri.removeprefix("sqlite:///"))
    make_directory(database.parent)
    try:
        folder = os.open(database.parent, os.O_RDONLY)  # its lock needs no file that stays
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)  # parallel first uses race in MLflow's migration
            if not database.exists():
                _make(database)
            return _open(database, uri, "PRAGMA journal_mode=WAL")
        finally:
            os.close(folder)
    except OSError as error:
        raise cannot_write(database, error) from error


def _make(database: Path) -> None:
    """Under another name until it is whole: what a kill leaves in the midst of MLflow's migrations
    no MLflow opens any more."""
    fresh = database.with_name(f".{database.name}.new")
    for left in database.parent.glob(f"{fresh.name}*"):
        left.unlink()
    client = _open(fresh, f"sqlite:///{fresh}", "PRAGMA schema_version")
    client._tracking_client.store.engine.dispose()  # its files must be closed
    fresh.replace(database)


def read_store(runs_dir: Path) -> MlflowClient | None:
    """The client, for reading: None where there is no database yet. Raises as ``open_store``."""
    uri = tracking_uri(runs_dir)
    if not uri.startswith("sqlite:///"):
        return MlflowClient(uri)
    database = Path(uri.removeprefix("sqlite:///"))
    return _open(database, uri, "PRAGMA schema_version") if database.exists() else None


def _open(database: Path, uri: str, first: str) -> MlflowClient:
    """``first``: what SQLite does before MLflow, which would try for minutes where that fails."""
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)  # no lines about its migrations
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # nor of each error
    try:
        with closing(sqlite3.connect(database)) as connection:
            connection.execute(first)
        client = MlflowClient(uri)
        client.search_experiments(max_results=1)
    except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
        way_out = "move it away and run `repro sync`: the records hold everything"
        if locked(error):
            way_out = "another process writes to it; give the same command again"
        raise UserError(f"{database} cannot be opened ({reason_of(error)}); {way_out}") from error
    return client


def experiment_id(
    client: MlflowClient, runs_dir: Path, name: str, tags: dict[str, str] | None = None
) -> str:
    """The experiment's id; it is made where it is missing, local artifacts under ``runs_dir``.

    ``tags``: what it is made with; of one that is there they stay as they are. Raises UserError for
    a name that could lead out of that directory.
    """
    found = client.get_experiment_by_name(checked(name))
    if found and found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    if found:
        return found.experiment_id
    local = tracking_uri(runs_dir).startswith("sqlite:")
    location = artifacts_uri(runs_dir, name)
    try:
        place = location if local else None
        return client.create_experiment(name, artifact_location=place, tags=tags)
    except MlflowException:
        found = client.get_experiment_by_name(name)
        if found is None:
            raise
        return found.experiment_id  # another process was first


def checked(name: str) -> str:
    """The name of an experiment, which comes from tags, which may come from anywhere."""
    if not safe(name):
        raise UserError(f"{name!r} is no name of an experiment: it could lead out of artifacts/")
    return name


def safe(name: str) -> bool:
    return bool(NAME.fullmatch(name)) and ".." not in name and name != "."


def artifacts_uri(runs_dir: Path, name: str) -> str:
    return (runs_dir.resolve() / "artifacts" / name.replace(" ", "-")).as_uri()


@contextmanager
def told(uri: str) -> Iterator[None]:
    """What MLflow fails at, as one line for the user."""
    try:
        yield
    except TrackingError as error:
        raise UserError(
            f"MLflow at {uri}: {reason_of(error)}; nothing is lost, the records hold everything: "
            "give the same command again when it answers"
        ) from error


def reason_of(error: BaseException) -> str:
    """The first line of an error, or its name where it has no words; a server may send a page."""
    return str(error).partition("\n")[0][:REASON] or type(error).__name__


def locked(error: BaseException) -> bool:
    """Has another process kept the database to itself, for longer than MLflow waits (20 s)?"""
    return "database is locked" in str(error)


def refused(error: BaseException) -> bool:
    """Is it this run that MLflow does not take, such as a metric's name, while others go on?"""
    return isinstance(error, MlflowException) and error.error_code == "INVALID_PARAMETER_VALUE"
