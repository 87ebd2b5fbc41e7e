"""The files of a grid as artifacts of one run of its summary: what is equal is not logged again."""

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from repro.tracking.store import open_store, told, tracking_uri
from repro.tracking.summary import runs_of, summary_id

OUTPUTS, NAME = "outputs", "tables and figures"
MANIFEST = "manifest.json"  # SHA-256 by the path of an artifact
Digests = dict[str, str]


def write_outputs(
    runs_dir: Path, grid: str, *, profile: str, folder: str, paths: Sequence[Path]
) -> int:
    """Log files under ``folder`` of the run, in the place of those that were there. How many were
    logged. Raises UserError where MLflow cannot be reached.

    The manifest says what is there; a tag holds its own digest, and is empty while files change. So
    after an interruption everything is logged again.
    """
    wanted = {f"{folder}/{path.name}": path for path in paths}
    digests = {name: digest_of(path) for name, path in wanted.items()}
    with told(tracking_uri(runs_dir)):
        client = open_store(runs_dir)
        run = _run(client, summary_id(client, runs_dir, grid), grid, profile)
        manifest = _manifest(client, run)
        there = _sizes(client, run, folder)
        known = {name: digest for name, digest in manifest.items() if name in there}
        changed = [
            name
            for name, path in wanted.items()
            if known.get(name) != digests[name] or there[name] not in (None, path.stat().st_size)
        ]
        gone = sorted(there.keys() - wanted.keys())
        if changed or gone:
            client.set_tag(run.info.run_id, "manifest", "")
            for name in changed:
                client.log_artifact(run.info.run_id, str(wanted[name]), folder)
            _remove(run, gone, tracking_uri(runs_dir))
            others = {n: digest for n, digest in manifest.items() if not n.startswith(f"{folder}/")}
            _write_manifest(client, run, others | digests)
        if run.info.status != "FINISHED":
            client.set_terminated(run.info.run_id)
    return len(changed)


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _run(client: MlflowClient, experiment: str, grid: str, profile: str) -> Run:
    """The one run of the profile; of several, as two commands at once may make, the oldest."""
    found = runs_of(client, experiment, OUTPUTS, profile)
    found.sort(key=lambda run: (run.info.start_time, run.info.run_id))
    for other in found[1:]:
        client.delete_run(other.info.run_id)
    tags = {"kind": OUTPUTS, "grid": grid, "profile": profile}
    name = f"{NAME}, {profile}"
    return found[0] if found else client.create_run(experiment, tags=tags, run_name=name)


def _manifest(client: MlflowClient, run: Run) -> Digests:
    """Nothing where it is not whole: files were changing when it was written last."""
    tag = run.data.tags.get("manifest")
    if not tag:
        return {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            path = Path(client.download_artifacts(run.info.run_id, MANIFEST, folder))
        except (MlflowException, OSError):
            return {}
        found: Digests = json.loads(path.read_text()) if digest_of(path) == tag else {}
    return found


def _sizes(client: MlflowClient, run: Run, folder: str) -> dict[str, int | None]:
    """Bytes of the artifacts in a folder; some servers do not tell them."""
    return {file.path: file.file_size for file in client.list_artifacts(run.info.run_id, folder)}


def _remove(run: Run, names: Sequence[str], uri: str) -> None:
    """The client of runs can only add."""
    there: Any = get_artifact_repository(run.info.artifact_uri, tracking_uri=uri)
    for name in names:
        there.delete_artifacts(name)


def _write_manifest(client: MlflowClient, run: Run, digests: Digests) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, MANIFEST)
        path.write_text(json.dumps(digests, indent=1, sort_keys=True))
        client.log_artifact(run.info.run_id, str(path))
        client.set_tag(run.info.run_id, "manifest", digest_of(path))
