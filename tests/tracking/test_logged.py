"""Tables and figures as artifacts: what is equal is not logged again, what is gone goes."""

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from repro.errors import UserError
from repro.tracking import tracking_uri, write_outputs
from tests.tracking.server import Server


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "out" / name for name in ("accuracy.md", "claims.md", "claims.csv")]
    paths[0].parent.mkdir()
    for path in paths:
        path.write_text(f"{path.name} 1")
    return paths


def write(runs_dir: Path, files: list[Path], folder: str = "tables") -> int:
    return write_outputs(runs_dir, "demo", profile="demo", folder=folder, paths=files)


def there(runs_dir: Path) -> dict[str, str]:
    """The text of each artifact but the manifest, of the one run."""
    client = MlflowClient(tracking_uri(runs_dir))
    experiment = client.get_experiment_by_name("demo summary").experiment_id
    (run,) = client.search_runs([experiment], "tags.kind = 'outputs'")
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "tables and figures, demo"
    run_id = run.info.run_id
    folders = [file.path for file in client.list_artifacts(run_id) if file.is_dir]
    names = [file.path for name in folders for file in client.list_artifacts(run_id, name)]
    return {name: Path(client.download_artifacts(run_id, name)).read_text() for name in names}


@pytest.fixture(params=["sqlite", "server"])
def anywhere(request: pytest.FixtureRequest, runs_dir: Path) -> Path:
    """A runs directory whose MLflow is a database of its own, or a server."""
    if request.param == "server":
        server: Server = request.getfixturevalue("server")
        client = MlflowClient(server.uri)
        if found := client.get_experiment_by_name("demo summary"):
            for run in client.search_runs([found.experiment_id]):
                client.delete_run(run.info.run_id)
    return runs_dir


def test_only_what_changed_is_logged_again(anywhere: Path, files: list[Path]) -> None:
    assert write(anywhere, files) == 3
    assert write(anywhere, files) == 0
    files[1].write_text("claims.md 2")  # as long as before
    assert write(anywhere, files) == 1
    assert there(anywhere) == {f"tables/{path.name}": path.read_text() for path in files}


def test_what_is_no_longer_written_is_removed(anywhere: Path, files: list[Path]) -> None:
    write(anywhere, files)
    assert write(anywhere, files[:2]) == 0
    assert there(anywhere).keys() == {"tables/accuracy.md", "tables/claims.md"}
    assert write(anywhere, files) == 1


def test_folders_do_not_touch_each_other(anywhere: Path, files: list[Path]) -> None:
    write(anywhere, files)
    assert write(anywhere, files[:1], "figures") == 1
    assert write(anywhere, files) == 0
    assert write(anywhere, files[:1], "figures") == 0
    assert len(there(anywhere)) == 4


def artifacts(runs_dir: Path) -> Path:
    (folder,) = (runs_dir / "artifacts" / "demo-summary").glob("*/artifacts")
    return folder


def test_artifacts_that_were_lost_or_cut_are_logged_again(
    runs_dir: Path, files: list[Path]
) -> None:
    write(runs_dir, files)
    (artifacts(runs_dir) / "tables" / "accuracy.md").unlink()
    (artifacts(runs_dir) / "tables" / "claims.md").write_text("cl")
    assert write(runs_dir, files) == 2
    (artifacts(runs_dir) / "manifest.json").write_text("{}")
    assert write(runs_dir, files) == 3
    (artifacts(runs_dir) / "manifest.json").unlink()
    assert write(runs_dir, files) == 3
    assert there(runs_dir) == {f"tables/{path.name}": path.read_text() for path in files}


@pytest.mark.parametrize("call", ["log_artifact", "set_tag", "set_terminated", "create_run"])
@pytest.mark.parametrize("at", [0, 1])
def test_an_interruption_is_healed(
    runs_dir: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch, call: str, at: int
) -> None:
    whole, asked = getattr(MlflowClient, call), [0]

    def failing(*given: Any, **named: Any) -> Any:
        asked[0] += 1
        if asked[0] > at:
            raise MlflowException("gone")
        return whole(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, call, failing)
        if at == 0 or call in ("log_artifact", "set_tag"):
            with pytest.raises(UserError, match="nothing is lost"):
                write(runs_dir, files)
    write(runs_dir, files)
    assert there(runs_dir) == {f"tables/{path.name}": path.read_text() for path in files}
    assert write(runs_dir, files) == 0


def test_a_change_that_was_cut_short_is_not_taken_for_done(
    runs_dir: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file is there, the manifest still says the old one; then the old one comes back."""
    write(runs_dir, files)
    files[0].write_text("accuracy.md 2")
    log_artifact = MlflowClient.log_artifact

    def killed(*given: Any, **named: Any) -> None:
        log_artifact(*given, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_artifact", killed)
        with pytest.raises(KeyboardInterrupt):
            write(runs_dir, files)
    files[0].write_text("accuracy.md 1")
    write(runs_dir, files)
    assert there(runs_dir)["tables/accuracy.md"] == "accuracy.md 1"


def test_two_runs_that_two_commands_made_become_one(runs_dir: Path, files: list[Path]) -> None:
    write(runs_dir, files)
    client = MlflowClient(tracking_uri(runs_dir))
    experiment = client.get_experiment_by_name("demo summary").experiment_id
    client.create_run(experiment, tags={"kind": "outputs", "profile": "demo"})
    assert write(runs_dir, files) == 0
    assert len(there(runs_dir)) == 3
