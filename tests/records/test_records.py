"""Records of a runs directory, and those that came with the repository."""

from dataclasses import replace
from pathlib import Path

from repro.records import Records
from repro.spec import key
from tests.records.made import RUN, TAGS, write_record


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
