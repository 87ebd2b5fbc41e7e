"""What was asked for, how it ended, and how damage shows."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from repro.errors import UserError
from repro.records import Record, Status
from repro.spec import key
from tests.disk import FAILURES, fail, names
from tests.records.made import AGAIN, RUN, STATUS, TAGS, entry


def test_a_record_stands_under_its_key_and_gives_back_its_run(
    tmp_path: Path, record: Record
) -> None:
    assert record.directory == tmp_path / "records" / key(RUN)
    assert record.key == key(RUN)
    assert record.exists()
    assert record.run() == RUN
    assert record.tags() == TAGS


def test_creating_again_changes_nothing(record: Record) -> None:
    before = (record.directory / "run.json").read_bytes()
    record.create(replace(RUN, method="another name"), {"grid": "ablation"})
    assert (record.directory / "run.json").read_bytes() == before


def test_a_record_of_another_run_is_refused(record: Record) -> None:
    path = record.directory / "run.json"
    path.write_text(path.read_text().replace('"trial": 0', '"trial": 1', 1))
    with pytest.raises(UserError, match="holds another run than its name says; remove it"):
        record.create(RUN, TAGS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        '{"run": 1}',
        '{"run": {"type": "KD"}}',
        '{"run": {"type": "Run"}}',
        '{"run": {"type": ["Run"]}}',
        "\udcff",
    ],
    ids=repr,
)
def test_a_damaged_run_is_told_with_the_way_out(record: Record, text: str) -> None:
    path = record.directory / "run.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=rf"run\.json cannot be read .*remove .* {AGAIN}"):
        record.run()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"tags": 1}', '{"tags": "ab"}'])
def test_damaged_tags_are_told_with_the_way_out(record: Record, text: str) -> None:
    (record.directory / "run.json").write_text(text)
    with pytest.raises(UserError, match=rf"run\.json cannot be read .*{AGAIN}"):
        record.tags()


@pytest.mark.parametrize(
    "status",
    [
        STATUS,
        Status(state="RUNNING", started_ms=5),
        Status(state="STOPPED", started_ms=5, ended_ms=6, reason="stopped by SIGINT"),
        Status(state="FAILED", started_ms=5, ended_ms=6, reason="loss is nan"),
    ],
    ids=lambda status: status.state,
)
def test_a_status_is_read_as_it_was_written(record: Record, status: Status) -> None:
    record.write_status(status)
    assert record.status() == status


def test_no_status_before_the_run_began(record: Record) -> None:
    assert record.status() is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"state": "RUNNING"}',
        '{"state": "DONE", "started_ms": 1, "final": []}',
        '{"state": "RUNNING", "started_ms": 1, "final": 3}',
        '{"state": "RUNNING", "started_ms": 1, "final": [["a", null]]}',
        '{"state": "RUNNING", "started_ms": 1, "final": [], "more": 1}',
    ],
)
def test_a_damaged_status_is_told_with_the_way_out(record: Record, text: str) -> None:
    (record.directory / "status.json").write_text(text)
    with pytest.raises(UserError, match=rf"status\.json cannot be read .*remove .* {AGAIN}"):
        record.status()


def test_restarting_keeps_the_identity_and_forgets_the_training(record: Record) -> None:
    record.write_status(STATUS)
    record.write_json("mlflow.json", {"sqlite:///x": "1"})
    for name in ("checkpoint", "checkpoint.previous", "weights.safetensors", "test_logits.npz"):
        (record.directory / name).write_bytes(b"x")
    record.restart()
    assert names(record.directory) == ["mlflow.json", "run.json", "status.json"]
    assert record.history() == []
    record.restart()  # nothing is left to remove


def test_a_side_file_is_read_back_or_none(record: Record) -> None:
    assert record.read_json("mlflow.json") is None
    record.write_json("mlflow.json", {"sqlite:///x": "abc"})
    assert record.read_json("mlflow.json") == {"sqlite:///x": "abc"}
    (record.directory / "mlflow.json").write_text("{")
    with pytest.raises(UserError, match=r"mlflow\.json cannot be read"):
        record.read_json("mlflow.json")


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_failing_disk_is_told_and_nothing_is_half_written(
    record: Record, monkeypatch: pytest.MonkeyPatch, call: str, failure: str
) -> None:
    record.write_status(STATUS)
    before = names(record.directory)
    fail(monkeypatch, call, FAILURES[failure])
    for write in (
        lambda: record.write_status(Status(state="FAILED", started_ms=1)),
        lambda: record.append(entry(3)),
        lambda: record.cut_history(1),
    ):
        with pytest.raises(UserError, match=r"cannot write .*--runs-dir"):
            write()
    monkeypatch.undo()
    assert names(record.directory) == before
    assert record.status() == STATUS
    assert record.history()[:3] == [entry(0), entry(1), entry(2)]


def test_a_run_json_is_readable_by_people(record: Record) -> None:
    data = json.loads((record.directory / "run.json").read_text())
    assert (data["schema"], data["key"], data["tags"]) == (1, key(RUN), TAGS)
    assert data["run"]["loss"]["type"] == "CMKD"
    assert data["run"]["teacher"]["network"] == "resnet20"
