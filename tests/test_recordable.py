"""What keeps results from being recorded, and archives from being read."""

import shutil
import tarfile
from dataclasses import replace

import pytest

from repro import recorded
from repro.analysis import measured
from repro.errors import UserError
from repro.records import Records, Status
from repro.spec import Run, key
from tests.analysis.made_up import MadeUp
from tests.test_recorded import ENDED_MS, FILES, browsed, results

__all__ = ["results"]  # the fixture


def test_archives_of_over_ten_megabytes_are_refused(results, tmp_path, monkeypatch):
    folder = tmp_path / "recorded"
    other = recorded.pack(replace(results, grid="cifar-same", runs=results.runs[:1]), folder)
    before = sorted(path.name for path in folder.iterdir())
    monkeypatch.setattr(recorded, "MOST_BYTES", other.stat().st_size + 500)
    with pytest.raises(UserError, match=r"the other archives have 0\.0 MB"):
        recorded.pack(results, folder)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_runs_that_another_grid_has_recorded_are_not_recorded_as_this_ones(results, tmp_path):
    folder = tmp_path / "recorded"
    recorded.pack(results, folder)
    assert recorded.pack(results, folder).name == "demo-demo.tar.xz"  # its own is replaced
    same = replace(results, grid="cifar-same", runs=results.runs[:3])
    with pytest.raises(UserError, match=r"demo-demo\.tar\.xz has every run of cifar-same"):
        recorded.pack(same, folder)
    assert sorted(path.name for path in folder.iterdir()) == FILES


def retrained(results: MadeUp, *runs: Run) -> None:
    for run in runs:
        record = results.record(run)
        record.write_status(Status("FINISHED", started_ms=2, ended_ms=ENDED_MS + 1))


def test_no_student_is_recorded_beside_a_teacher_that_did_not_teach_it(results, tmp_path):
    """The teacher was trained again, here or in the place of the archive's."""
    folder = tmp_path / "recorded"
    teacher, *students = results.runs
    recorded.pack(replace(results, runs=(teacher, *students[:2])), folder)
    other = replace(results, grid="cifar-same", runs=(teacher, *students[2:]))
    recorded.pack(other, folder)
    retrained(results, teacher)
    with pytest.raises(UserError, match=r"demo-demo\.tar\.xz holds other trainings of 1 of these"):
        recorded.pack(other, folder)
    with pytest.raises(UserError, match=r"holds other trainings of 1 teachers, of which other"):
        recorded.pack(replace(results, runs=(teacher, *students[:2])), folder)
    (folder / "cifar-same-demo.tar.xz").unlink()
    recorded.pack(results, folder, replace=True)  # there is nobody else's student


def test_an_archive_is_not_replaced_by_fewer_runs(results, tmp_path):
    folder = tmp_path / "recorded"
    before = recorded.pack(results, folder).read_bytes()
    fewer = replace(results, runs=results.runs[:-2])
    with pytest.raises(
        UserError, match=r"demo-demo\.tar\.xz holds 2 runs that are not finished in"
    ):
        recorded.pack(fewer, folder)
    assert (folder / "demo-demo.tar.xz").read_bytes() == before
    retrained(results, *results.runs)
    with pytest.raises(UserError, match=r"other trainings of 5 of these runs; --replace puts"):
        recorded.pack(results, folder)
    assert recorded.pack(results, folder, replace=True).read_bytes() != before


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[: len(b) // 2],
        lambda _: b"version https://git",
        *(lambda b, i=i: b[:i] + bytes([b[i] ^ 255]) + b[i + 1 :] for i in range(100, 1000, 100)),
    ],
)
def test_a_damaged_archive_is_named_with_its_cure(results, tmp_path, damage):
    path = recorded.pack(results, tmp_path / "recorded")
    path.write_bytes(damage(path.read_bytes()))
    told = r"demo-demo\.tar\.xz: .*; `git checkout .*demo-demo\.tar\.xz` brings it back"
    for look in (lambda: browsed(results, tmp_path), lambda: recorded.pack(results, path.parent)):
        with pytest.raises(UserError, match=told):
            look()


def test_what_goes_wrong_beside_an_archive_is_not_its_damage(results, tmp_path):
    path = recorded.pack(results, tmp_path / "recorded")
    with pytest.raises(OSError, match="No space"), recorded.opened(path):
        raise OSError("No space left on device")


def test_measurements_and_networks_do_not_go_unasked(results, tmp_path):
    """They are recorded by their accuracy alone after all, or what was measured was removed."""
    folder = tmp_path / "recorded"
    measured.attack_of(results)
    recorded.pack(results, folder)
    told = r"holds 3 measurements and logits and 2 networks that would go; --replace lets them"
    with pytest.raises(UserError, match=told):
        recorded.pack(results, folder, students=False)
    shutil.rmtree(results.runs_dir / "measured" / key(results.runs[0]))
    with pytest.raises(UserError, match="holds 1 measurements and logits and 0 networks"):
        recorded.pack(results, folder)
    measured.attack_of(replace(results, profile=replace(results.profile, attack_images=14)))
    recorded.pack(results, folder)  # measured otherwise
    recorded.pack(results, folder, students=False, replace=True)
    (weights,) = recorded.weight_archives(folder)
    assert recorded.keys_in(weights) == {key(results.runs[0])}


def test_no_network_of_another_training_stands_beside_a_record(results, tmp_path):
    folder = tmp_path / "recorded"
    recorded.pack(results, folder)
    other = replace(results, grid="cifar-same", runs=results.runs[:1])
    (folder / "demo-demo.tar.xz").unlink()  # its record is elsewhere, its weights are here
    results.record(results.runs[0]).weights.write_bytes(b"others")
    with pytest.raises(UserError, match=r"demo-demo\.weights\.tar holds another network of"):
        recorded.pack(other, folder)


def test_damaged_weights_are_noticed_before_what_is_there_goes(results, tmp_path):
    """A tar has no checksum of its members' content, but one of every header."""
    recorded.pack(results, tmp_path / "recorded")
    shown = browsed(results, tmp_path)
    (path,) = recorded.weight_archives(tmp_path / "recorded")
    content = bytearray(path.read_bytes())
    with tarfile.open(path) as archive:
        content[archive.getmembers()[1].offset] ^= 255
        ends = archive.getmembers()[-1].offset
    for damaged in (content, path.read_bytes()[:ends]):  # a header; all after a member
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"weights\.tar: a member cannot be read; `git check"):
            browsed(results, tmp_path)
    assert len(list(Records(shown.runs_dir))) == len(results.runs)


def test_recorded_results_are_not_recorded_again(results, tmp_path):
    recorded.pack(results, tmp_path / "recorded")
    with pytest.raises(UserError, match="holds recorded results"):
        recorded.pack(browsed(results, tmp_path), tmp_path / "recorded")
