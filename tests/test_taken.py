"""Recorded runs count as finished where they can stand beside what is still to be trained."""

from collections.abc import Callable
from pathlib import Path

import pytest

from repro import recorded
from repro.errors import UserError
from repro.grid import Choice, expand
from repro.intake import take_in
from repro.leases import Leases
from repro.profiles import PROFILES
from repro.records import TAKEN, Records
from repro.spec import Run, key
from repro.taken import take_recorded
from tests import tiny
from tests.analysis.made_up import demo, made_up
from tests.test_recorded import write

Wanted = Callable[..., tuple[Run, ...]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two trials of CE and KD, recorded with the weights of the teacher and of the first trial."""
    results = made_up(tmp_path / "runs", *demo(("ce", "kd")))
    for run in results.runs:
        write(results.record(run), run, "FINISHED")
    recorded.pack(results, tmp_path / "recorded")
    return tmp_path / "recorded"


@pytest.fixture
def wanted() -> Wanted:
    def of(*methods: str) -> tuple[Run, ...]:
        return expand("demo", PROFILES["demo"], Choice(methods=methods, trials=2))

    return of


def there(runs_dir: Path) -> set[str]:
    return {record.key for record in Records(runs_dir)}


def test_all_that_is_recorded_is_taken_once(folder: Path, wanted: Wanted, tmp_path: Path) -> None:
    runs, here = wanted("ce", "kd"), tmp_path / "here"
    assert take_recorded(runs, here, folder) == ["5 runs are there already: demo-demo.tar.xz"]
    assert there(here) == {key(run) for run in runs}
    teacher, *students = runs
    assert not list((here / "records").glob("*/lease"))
    assert Records(here).of(key(teacher)).weights.read_bytes() == b"weights"
    assert {Records(here).state(key(run)) for run in runs} == {"FINISHED"}
    with_weights = [Records(here).of(key(run)).weights.exists() for run in students]
    assert with_weights.count(True) == 2  # of the first trial
    assert take_recorded(runs, here, folder) == []
    assert not [path for path in here.iterdir() if path.name.startswith(".taking")]


def test_a_record_says_where_it_came_from_and_is_whole_all_the_same(
    folder: Path, wanted: Wanted, tmp_path: Path
) -> None:
    """Most have neither weights nor logits: ``repro sync`` takes them on, and they are trained
    beside no student that would need them."""
    runs, here, there = wanted("ce", "kd"), tmp_path / "here", tmp_path / "there"
    take_recorded(runs, here, folder)
    records = Records(here)
    assert {(records.of(key(run)).directory / TAKEN).read_text() for run in runs} == {
        "demo-demo.tar.xz"
    }
    for run in runs:  # made up as they are, they are none that can be read
        records.of(key(run)).weights.unlink(missing_ok=True)
    assert take_in(here, there, Leases()).counts == {"new": len(runs)}
    assert all(Records(there).of(key(run)).taken for run in runs)
    with pytest.raises(UserError, match="came from recorded results without its weights; train"):
        tiny.runtime(here).finished_weights(runs[0])


def test_what_was_measured_comes_along(folder: Path, wanted: Wanted, tmp_path: Path) -> None:
    """Here nothing was; a file in the archive stands for it."""
    here = tmp_path / "here"
    (run,) = [r for r in wanted("kd") if r.teacher and r.trial == 0]
    source = tmp_path / "runs" / "measured" / key(run)
    source.mkdir(parents=True, exist_ok=True)
    (source / "planes-0.json").write_text("{}")
    results = made_up(tmp_path / "runs", *demo(("ce", "kd")))
    recorded.pack(results, folder)
    take_recorded(wanted("ce", "kd"), here, folder)
    names = {path.relative_to(here).as_posix() for path in (here / "measured").rglob("*.json")}
    assert names == {f"measured/{key(run)}/planes-0.json"}


def test_a_teacher_with_weights_comes_for_students_that_are_left(
    folder: Path, wanted: Wanted, tmp_path: Path
) -> None:
    runs = wanted("dkd")
    take_recorded(runs, tmp_path / "here", folder)
    assert there(tmp_path / "here") == {key(runs[0])}


def test_without_its_weights_a_teacher_with_students_left_is_trained_again(
    folder: Path, wanted: Wanted, tmp_path: Path
) -> None:
    """And with it all that it taught, so that one network has taught them; baselines are taken."""
    for path in recorded.weight_archives(folder):
        path.unlink()
    runs, here = wanted("ce", "kd", "dkd"), tmp_path / "here"
    assert take_recorded(runs, here, folder) == [
        "2 runs are there already: demo-demo.tar.xz",
        "3 runs are left out, their teacher is trained here: demo-demo.tar.xz",
    ]
    assert there(here) == {key(run) for run in runs if run.method == "ce"}


def test_beside_another_network_of_the_teacher_s_key_its_students_are_not(
    folder: Path, wanted: Wanted, tmp_path: Path
) -> None:
    runs, here = wanted("ce", "kd"), tmp_path / "here"
    own = Records(here).of(key(runs[0]))
    write(own, runs[0], "FINISHED")
    own.write_status(own.status().__class__("FINISHED", started_ms=5, ended_ms=6))  # type: ignore[union-attr]
    take_recorded(runs, here, folder)
    assert there(here) == {key(run) for run in runs if run.method in ("teacher", "ce")}


def test_a_record_that_was_hardly_begun_is_in_nobody_s_way(
    folder: Path, wanted: Wanted, tmp_path: Path
) -> None:
    runs, here = wanted("ce", "kd"), tmp_path / "here"
    left = Records(here).of(key(runs[1])).directory / "lease"
    left.mkdir(parents=True)
    take_recorded(runs, here, folder)
    assert there(here) == {key(run) for run in runs}
