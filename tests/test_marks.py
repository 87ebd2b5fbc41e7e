"""What is said of runs that several processes trained."""

from pathlib import Path

from repro.marks import together
from tests import tiny


def test_runs_that_several_processes_trained_are_marked(tmp_path: Path) -> None:
    record = tiny.record(tiny.TEACHER, tmp_path)
    record.create(tiny.TEACHER, {})
    assert together([record]) == ()
    record.write_json("environment.json", {"processes": "8, then 4"})
    (mark,) = together([record, record])
    assert mark.startswith("Trained by 8, then 4 processes together: BatchNorm ")
    (record.directory / "environment.json").write_bytes(b"{")
    assert together([record]) == ()
