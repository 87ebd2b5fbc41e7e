"""Every file of a record, damaged in every way: its run goes on, and nothing is thrown away."""

import errno
import shutil
from pathlib import Path

import pytest

from repro.errors import UserError
from repro.leases import Leases
from repro.mending import damaged_files, mend
from repro.records import Record
from repro.resume import resume_point
from repro.runtime import Stopped
from repro.spec import key
from repro.tracking import load_results
from repro.train import checkpoint
from tests import tiny
from tests.cli.invoke import repro
from tests.malformed.damage import DAMAGES

RUN = tiny.run("kd")
TAGS = {"profile": "demo", "grid": "demo"}
FILES = ("run.json", "status.json", "history.jsonl", "environment.json", "checkpoint")
EPOCH_TICKS = tiny.STEPS + 1
COMMANDS = (("plan", "demo"), ("status",), ("sync",), ("doctor",))


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stopped in its last epoch: two epochs in the history, two checkpoints. Read only."""
    directory = tmp_path_factory.mktemp("begun")
    tiny.train((tiny.TEACHER,), directory)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("repro.jobs.CHECKPOINT_SECONDS", 0.0)
        with pytest.raises(Stopped):
            tiny.train((RUN,), directory, tick=tiny.Ticks(2 * EPOCH_TICKS + 2, Stopped("")))
    return directory


@pytest.fixture(scope="module")
def finished(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = Path(shutil.copytree(begun, tmp_path_factory.mktemp("finished") / "runs"))
    tiny.train((RUN,), directory)
    return directory


@pytest.fixture
def directory(begun: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(begun, tmp_path / "runs"))


def mended(directory: Path) -> tuple[Record, list[str]]:
    record = tiny.record(RUN, directory)
    with Leases().holding(record, "training") as own:
        assert own
        return record, mend(own, RUN, TAGS)


def harm(directory: Path, name: str, damage: str) -> bytes:
    path = tiny.record(RUN, directory).directory / name
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    return path.read_bytes()


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_mended_or_kept_aside(directory: Path, name: str, damage: str) -> None:
    left = harm(directory, name, damage)
    record, lines = mended(directory)
    assert key(record.run()) == key(RUN)
    assert record.status()
    assert all("\n" not in line for line in lines)
    epochs = len(record.history())
    point = resume_point(record)
    assert point.next_epoch <= epochs
    for path in damaged_files(record.directory):
        assert path.name.startswith(f"{name}.damaged-")
        assert path.read_bytes() == left
        assert any(path.name in line for line in lines)
    assert mended(directory)[1] == []  # once is enough


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("run.json", "empty"),
        ("status.json", "cut at 0.5"),
        ("status.json", "zeros after a power failure"),
        ("history.jsonl", "zeros at the end"),
        ("history.jsonl", "a line before"),
        ("history.jsonl", "no UTF-8"),
        ("environment.json", "deep"),
        ("checkpoint", "cut at 0.9"),
        ("checkpoint", "empty"),
        ("checkpoint", "byte at 0.4 flipped"),
    ],
)
def test_a_run_with_a_damaged_file_ends_as_if_nothing_had_happened(
    directory: Path, finished: Path, name: str, damage: str
) -> None:
    harm(directory, name, damage)
    progress = tiny.Progress()
    tiny.train((RUN,), directory, progress=progress)
    assert tiny.results((RUN,), directory) == tiny.results((RUN,), finished)
    assert [line for line in progress.lines if "damaged" in line]


def test_a_history_cut_at_any_byte_keeps_its_whole_lines(directory: Path) -> None:
    record = tiny.record(RUN, directory)
    path = record.directory / "history.jsonl"
    data = path.read_bytes()
    assert len(data) > 200
    for size in range(len(data)):
        path.write_bytes(data[:size])
        whole = data[:size].count(b"\n")
        assert len(record.history()) == whole
        assert resume_point(record).next_epoch == whole
    assert mended(directory)[1] == []  # a torn last line is no damage


def test_the_start_of_a_run_survives_its_status(directory: Path) -> None:
    before = tiny.record(RUN, directory).status()
    harm(directory, "status.json", "cut at 0.7")
    record, _ = mended(directory)
    status = record.status()
    assert before
    assert status
    assert status.started_ms == before.started_ms


@pytest.mark.parametrize(
    "meta",
    [{}, {"key": "f" * 64, "next_epoch": 2}]
    + [{"key": key(RUN), "next_epoch": epoch} for epoch in ("2", 2.0, None, -1, True, 10**9)],
    ids=str,
)
def test_a_checkpoint_that_says_something_else_gives_way_to_the_one_before(
    directory: Path, meta: dict[str, object]
) -> None:
    record = tiny.record(RUN, directory)
    state, _ = checkpoint.load(record.checkpoint)
    shutil.copy(record.checkpoint, previous := checkpoint.previous(record.checkpoint))
    checkpoint.save(record.checkpoint, state, meta)
    checkpoint.save(previous, state, {"key": record.key, "next_epoch": 1})
    point = resume_point(record)
    assert point.next_epoch == 1
    assert "going on from the one before it" in point.note


def test_a_directory_in_the_place_of_a_checkpoint_is_kept_aside(
    directory: Path, finished: Path
) -> None:
    record = tiny.record(RUN, directory)
    record.checkpoint.unlink()
    record.checkpoint.mkdir()
    tiny.train((RUN,), directory)
    assert tiny.results((RUN,), directory) == tiny.results((RUN,), finished)


def test_training_that_cannot_go_on_is_kept_aside(directory: Path, finished: Path) -> None:
    """The checkpoints are good, but the history before them is lost."""
    record = tiny.record(RUN, directory)
    names = ("checkpoint", "checkpoint.previous")
    before = sorted((record.directory / name).read_bytes() for name in names)
    path = record.directory / "history.jsonl"
    path.write_bytes(b"\0" * len(path.read_bytes().split(b"\n")[0]) + b"\n")
    tiny.train((RUN,), directory)
    kept = [p for p in damaged_files(record.directory) if p.name.startswith("checkpoint")]
    assert sorted(path.read_bytes() for path in kept) == before
    assert tiny.results((RUN,), directory) == tiny.results((RUN,), finished)


@pytest.mark.parametrize("name", ["checkpoint", "history.jsonl"])
def test_what_cannot_be_read_just_now_is_left_as_it_is(
    directory: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad cable says nothing of the content."""
    record, read = tiny.record(RUN, directory), Path.read_bytes
    before = {path.name: path.read_bytes() for path in record.directory.iterdir() if path.is_file()}

    def broken(path: Path) -> bytes:
        if path.name == name:
            raise OSError(errno.EIO, "Input/output error")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", broken)
    with pytest.raises(UserError, match=r"cannot be read \(Input/output error\): see to it"):
        tiny.train((RUN,), directory)
    monkeypatch.undo()
    after = {path.name: path.read_bytes() for path in record.directory.iterdir() if path.is_file()}
    assert after == before


@pytest.mark.parametrize("status", ["damaged", "whole"])
def test_a_copy_that_broke_off_before_its_identity_goes_on(
    directory: Path, finished: Path, status: str
) -> None:
    record = tiny.record(RUN, directory)
    (record.directory / "run.json").unlink()
    if status == "damaged":
        harm(directory, "status.json", "cut at 0.5")
    tiny.train((RUN,), directory)
    assert tiny.results((RUN,), directory) == tiny.results((RUN,), finished)


def test_a_checkpoint_that_does_not_fit_is_kept_aside_and_the_same_command_goes_on(
    directory: Path, finished: Path
) -> None:
    record = tiny.record(RUN, directory)
    other = tiny.student(tiny.run("kd", network="resnet14"))
    checkpoint.save(record.checkpoint, other.state(), {"key": record.key, "next_epoch": 2})
    with pytest.raises(UserError, match=r"does not fit resnet8; the same command goes on"):
        tiny.train((RUN,), directory)
    assert len(damaged_files(record.directory)) == 1
    tiny.train((RUN,), directory)
    assert tiny.results((RUN,), directory) == tiny.results((RUN,), finished)


@pytest.mark.parametrize("damage", DAMAGES)
def test_weights_that_are_damaged_are_refused_in_one_line(
    finished: Path, tmp_path: Path, damage: str
) -> None:
    directory = Path(shutil.copytree(finished, tmp_path / "runs"))
    harm(directory, "weights.safetensors", damage)
    record = tiny.record(RUN, directory)
    original = (tiny.record(RUN, finished).weights).read_bytes()
    refusal = ""
    try:
        tiny.runtime(directory).load_finished(RUN)
    except UserError as error:
        refusal = str(error)
    assert "\n" not in refusal
    if not refusal:  # a flipped bit can leave a number that is as good as any
        assert len(record.weights.read_bytes()) == len(original)


@pytest.mark.parametrize("name", ["status.json", "history.jsonl", "environment.json", "run.json"])
def test_damaged_records_of_other_runs_stop_nothing(
    directory: Path, store_template: Path, name: str
) -> None:
    """One of each damage, beside a sound one."""
    sound = tiny.record(RUN, directory)
    data = (sound.directory / name).read_bytes()
    for number, damage in enumerate(DAMAGES.values()):
        place = directory / "records" / f"{number:064x}"
        shutil.copytree(sound.directory, place)
        (place / name).write_bytes(damage(data))
    other = tiny.run("dist")
    tiny.train((other,), directory)
    shutil.copy(store_template, directory)
    done = [repro(*words, "--runs-dir", directory) for words in COMMANDS]
    assert [result.exit_code for result in done] == [0, 0, 1, 1], done
    assert " broke: " not in done[-1].output
    told = [line for line in done[2].output.splitlines() if line.startswith("damaged: ")]
    assert len(told) > 10
    assert max(map(len, told)) < 1000
    assert key(other) in set(load_results(directory)["key"])
