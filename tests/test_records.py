"""Records: what was asked for, what happened, and how damage shows."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repro.errors import UserError
from repro.losses import CE, named
from repro.records import Record, Records, Status
from repro.spec import Optim, Run, Stream, key
from tests.disk import FAILURES, fail, names

TEACHER = Run(network="resnet20", loss=CE(), stream=Stream(), optim=Optim(), method="teacher")
RUN = replace(TEACHER, network="resnet8", loss=named("cmkd"), teacher=TEACHER, method="cmkd")
TAGS = {"profile": "quick", "grid": "cifar"}
AGAIN = "to train this run again"


def entry(epoch: int) -> dict[str, object]:
    return {"epoch": epoch, "metrics": {"test/top1": 10.0 + epoch / 7}, "seconds": 1.5}


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """A record with three epochs."""
    made = Records(tmp_path).of(key(RUN))
    made.create(RUN, TAGS)
    for epoch in range(3):
        made.append(entry(epoch))
    return made


@pytest.fixture
def history(record: Record) -> Path:
    return record.directory / "history.jsonl"


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


STATUS = Status(
    state="FINISHED",
    started_ms=1_700_000_000_000,
    ended_ms=1_700_000_060_000,
    reason="",
    final=(("final/top1_last", 71.25), ("final/top1_best", 1 / 3)),
)


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


def test_history_is_one_entry_an_epoch_with_exact_numbers(record: Record) -> None:
    assert record.history() == [entry(0), entry(1), entry(2)]


def test_no_history_is_empty(tmp_path: Path) -> None:
    assert Record(tmp_path).history() == []


def test_a_history_cut_at_any_byte_of_its_last_line_has_the_lines_before(
    record: Record, history: Path
) -> None:
    content = history.read_bytes()
    start = content.rindex(b"\n", 0, -1) + 1
    for end in range(start, len(content)):
        history.write_bytes(content[:end])
        assert record.history() == [entry(0), entry(1)], end


def test_a_torn_line_goes_when_the_history_is_cut(record: Record, history: Path) -> None:
    with history.open("ab") as file:
        file.write(b'{"epoch": 3, "met')
    record.cut_history(3)
    record.append(entry(3))
    assert record.history() == [entry(0), entry(1), entry(2), entry(3)]


@pytest.mark.parametrize("line", [0, 1, 2])
@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"17",
        b"null",
        b"[0]",
        b'{"metrics": {}}',
        b'{"epoch": 9, "metrics": {}}',
        b'{"epoch": 0}',
        b'{"epoch": 0, "metrics": 3}',
    ],
)
def test_a_damaged_whole_line_is_told_by_its_number(
    record: Record, history: Path, line: int, damaged: bytes
) -> None:
    lines = history.read_bytes().splitlines()
    lines[line] = damaged
    history.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(UserError) as caught:
        record.history()
    expected = f"{history} line {line + 1} is damaged; remove {record.directory} {AGAIN}"
    assert str(caught.value) == expected


@settings(deadline=None)  # a busy machine is no failure
@given(content=st.binary(max_size=200))
def test_no_content_of_a_history_is_a_traceback(content: bytes, tmp_path_factory) -> None:
    directory = tmp_path_factory.getbasetemp() / "any-history"
    directory.mkdir(exist_ok=True)
    (directory / "history.jsonl").write_bytes(content)
    whole = content.count(b"\n")
    if whole == 0:
        assert Record(directory).history() == []
    else:  # random bytes are no epochs
        with pytest.raises(UserError, match=r"line \d+ is damaged"):
            Record(directory).history()


def test_a_missing_epoch_is_told(record: Record) -> None:
    record.append(entry(4))
    with pytest.raises(UserError, match="line 4 is damaged"):
        record.history()


def test_a_history_that_cannot_be_read_is_told(record: Record, history: Path) -> None:
    history.unlink()
    history.mkdir()
    with pytest.raises(UserError, match=rf"history\.jsonl cannot be read .*{AGAIN}"):
        record.history()


@pytest.mark.parametrize("epochs", [0, 1, 2, 3, 9])
def test_cutting_keeps_the_first_epochs_to_the_byte(
    record: Record, history: Path, epochs: int
) -> None:
    before = history.read_bytes().splitlines(keepends=True)
    record.cut_history(epochs)
    assert history.read_bytes() == b"".join(before[:epochs])


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


def write_record(directory: Path, state: str | None) -> None:
    record = Record(directory)
    record.create(RUN, TAGS)
    if state:
        record.write_status(replace(STATUS, state=state))


def test_a_recorded_run_counts_as_finished(tmp_path: Path) -> None:
    records = Records(tmp_path)
    assert records.state(key(RUN)) is None
    write_record(tmp_path / "recorded" / key(RUN), "FINISHED")
    assert records.state(key(RUN)) == "FINISHED"
    assert records.of(key(RUN)).directory == tmp_path / "recorded" / key(RUN)


def test_a_run_s_own_record_comes_before_a_recorded_one(tmp_path: Path) -> None:
    write_record(tmp_path / "recorded" / key(RUN), "FINISHED")
    write_record(tmp_path / "records" / key(RUN), "RUNNING")
    assert Records(tmp_path).state(key(RUN)) == "RUNNING"


def test_a_directory_without_a_run_is_no_record(tmp_path: Path) -> None:
    """A kill between making the directory and writing run.json leaves one."""
    own = tmp_path / "records" / key(RUN)
    own.mkdir(parents=True)
    records = Records(tmp_path)
    assert records.state(key(RUN)) is None
    assert list(records) == []
    write_record(tmp_path / "recorded" / key(RUN), "FINISHED")
    assert records.state(key(RUN)) == "FINISHED"  # the empty directory does not hide it


def test_a_run_that_did_not_begin_has_no_state(tmp_path: Path) -> None:
    write_record(tmp_path / "records" / key(RUN), None)
    assert Records(tmp_path).state(key(RUN)) is None


def test_records_are_iterated_in_the_order_of_their_keys(tmp_path: Path) -> None:
    assert list(Records(tmp_path)) == []
    runs = [replace(RUN, trial=trial) for trial in range(4)]
    for run in runs:
        Records(tmp_path).of(key(run)).create(run, TAGS)
    (tmp_path / "records" / ".DS_Store").write_text("")
    found = list(Records(tmp_path))
    assert [record.key for record in found] == sorted(key(run) for run in runs)
    assert {record.run() for record in found} == set(runs)


def test_a_run_json_is_readable_by_people(record: Record) -> None:
    data = json.loads((record.directory / "run.json").read_text())
    assert (data["schema"], data["key"], data["tags"]) == (1, key(RUN), TAGS)
    assert data["run"]["loss"]["type"] == "CMKD"
    assert data["run"]["teacher"]["network"] == "resnet20"
