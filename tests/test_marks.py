"""What is said of runs that several processes, or another machine, trained."""

from pathlib import Path

from repro.marks import elsewhere, together
from repro.records import TAKEN, Record, Status
from repro.spec import Run
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


def trained(run: Run, runs_dir: Path, day: int, commit: str) -> Record:
    record = tiny.record(run, runs_dir)
    record.create(run, {})
    record.write_status(Status("FINISHED", started_ms=0, ended_ms=day * 86_400_000))
    told = {"device": "a processor", "torch": "2.13.0", "git_commit": commit * 40}
    record.write_json("environment.json", told)
    return record


def test_runs_of_another_machine_say_when_and_on_what(tmp_path: Path) -> None:
    days = {"ce": (20_783, "a"), "kd": (20_783, "b"), "dkd": (20_784, "a")}
    records = [trained(tiny.run(method), tmp_path, *days[method]) for method in days]
    words = "Recorded results, not of this machine, trained 2026-11-26"
    on = "on a processor, torch 2.13.0, commit"
    a, b = "a" * 12, "b" * 12
    assert elsewhere(records, whole=True) == (f"{words} to 2026-11-27 {on} {a}, {b}",)
    assert elsewhere(records, whole=False) == ()
    for record in records[:2]:
        (record.directory / TAKEN).write_text("an archive")
    assert elsewhere(records, whole=False) == (f"2 of 3 runs: {words} {on} {a}, {b}",)
    (records[0].directory / "environment.json").write_bytes(b"{")
    assert "None, torch None, commit unknown" in elsewhere(records, whole=False)[0]
