"""A runs directory that was moved or copied: MLflow keeps absolute addresses of artifacts."""

import sqlite3
from contextlib import closing
from pathlib import Path

from repro.tracking.store import artifacts_uri, own_database, safe, tracking_uri

ADDRESSES = (  # where a table has one; the last ones are those of models, which others may log
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def relocate(runs_dir: Path) -> None:
    """Have the experiments of the directory's own database keep artifacts in the directory.

    Only addresses ``<elsewhere>/artifacts/<experiment>`` change, all of them or none.
    """
    if not moved(runs_dir):
        return
    with closing(sqlite3.connect(own_database(runs_dir))) as connection, connection:
        for old, new in moves(connection, runs_dir):
            for table, column in columns(connection):
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
                )


def moved(runs_dir: Path) -> list[str]:
    """The old addresses of experiments in the directory's own database; none of another one."""
    database = own_database(runs_dir)
    if tracking_uri(runs_dir) != f"sqlite:///{database}":
        return []
    with closing(sqlite3.connect(database)) as connection:
        return [old for old, _ in moves(connection, runs_dir)]


def moves(connection: sqlite3.Connection, runs_dir: Path) -> list[tuple[str, str]]:
    """Of each experiment that was moved: its old and its new address."""
    rows = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
    ours = [(name, old or "", artifacts_uri(runs_dir, name)) for name, old in rows if safe(name)]
    ends = {name: f"/artifacts/{new.rpartition('/')[2]}" for name, _, new in ours}
    return [(old, new) for name, old, new in ours if old != new and old.endswith(ends[name])]


def columns(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """The addresses that this version of MLflow has."""
    there = {
        table: {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}
        for table, _ in ADDRESSES
    }
    return [(table, column) for table, column in ADDRESSES if column in there[table]]
