import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from repro import jobs
from repro.errors import UserError
from repro.jobs import final_metrics, history_entry, run_cohort, run_tags
from repro.plan import Cohort
from repro.records import Record, Records, Status
from repro.runtime import Stopped
from repro.spec import Optim, Run, key
from repro.train import checkpoint
from repro.train.cohort import EpochReport
from repro.train.evaluate import predict, scores
from repro.train.weights import load_half
from tests import tiny

RUNS = (tiny.TEACHER, tiny.run("kd"), tiny.run("cmkd"))
STUDENTS = RUNS[1:]
TICKS_AN_EPOCH = tiny.STEPS + len(STUDENTS)  # one evaluated batch each
EXPLODING = Optim(lr=1e30)


@pytest.fixture(scope="module")
def with_teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs directory in which the teacher is finished."""
    directory = tmp_path_factory.mktemp("teacher")
    tiny.train((tiny.TEACHER,), directory)
    return directory


@pytest.fixture(scope="module")
def finished(with_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All runs, trained without interruption. Read only."""
    directory = tmp_path_factory.mktemp("finished") / "runs"
    shutil.copytree(with_teacher, directory)
    tiny.train(RUNS, directory)
    return directory


@pytest.fixture
def directory(with_teacher: Path, tmp_path: Path) -> Path:
    """A copy of ``with_teacher``."""
    return Path(shutil.copytree(with_teacher, tmp_path / "runs"))


def states(directory: Path, runs: tuple[Run, ...] = STUDENTS) -> list[str | None]:
    return [Records(directory).state(key(run)) for run in runs]


def assert_goes_on_to_the_same(directory: Path, finished: Path) -> None:
    tiny.train(RUNS, directory)
    assert tiny.results(RUNS, directory) == tiny.results(RUNS, finished)


def next_epochs(directory: Path) -> list[int]:
    """Where the checkpoints of the students stand; 0 without one."""
    paths = [tiny.record(run, directory).checkpoint for run in STUDENTS]
    metas = [checkpoint.load(path)[1] if path.exists() else {"next_epoch": 0} for path in paths]
    return [int(str(meta["next_epoch"])) for meta in metas]


# what a finished run leaves


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.method)
def test_a_finished_record_holds_everything(finished: Path, run: Run) -> None:
    record = tiny.record(run, finished)
    assert record.run() == run
    assert [entry["epoch"] for entry in record.history()] == [0, 1, 2]
    assert checkpoint.load(record.checkpoint)[1] == {"key": key(run), "next_epoch": 3}
    environment = record.read_json("environment.json")
    assert environment["threads"] == torch.get_num_threads() == 1
    assert environment["torch"] == torch.__version__
    assert {"device", "python", "git_commit", "tf32"} <= environment.keys()
    status = record.status()
    assert status is not None
    assert status.ended_ms is not None
    assert (status.state, status.reason) == ("FINISHED", "")
    assert status.started_ms <= record.history()[0]["time_ms"] <= status.ended_ms


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.method)
def test_the_reported_accuracy_is_that_of_the_stored_weights_and_logits(
    finished: Path, run: Run
) -> None:
    record = tiny.record(run, finished)
    model = load_half(run, record.weights, tiny.CPU)
    logits, labels = predict(model, tiny.cohort_data().evaluation())
    last = record.history()[-1]["metrics"]
    assert {name: value.item() for name, value in scores(logits, labels).items()} == {
        name: last[name] for name in ("test/loss", "test/top1")
    }
    stored = np.load(record.test_logits)["logits"]
    assert stored.dtype == np.float16
    assert np.array_equal(stored, logits.half().numpy())


def test_a_line_of_history_holds_times_terms_and_rates(finished: Path) -> None:
    history = tiny.record(RUNS[2], finished).history()
    terms = {"train/ce", "train/pearson", "train/spearman", "train/loss", "train/top1"}
    tests = {"test/loss", "test/top1", "lr", "weight/pearson", "weight/spearman"}
    assert set(history[0]["metrics"]) == terms | tests
    assert [entry["metrics"]["lr"] for entry in history] == pytest.approx([0.05, 0.05, 0.005])
    assert all(entry["students"] == 2 and entry["seconds"] > 0 for entry in history)
    assert all(entry["macs_per_second"] > 0 for entry in history)
    assert sum(history[1]["histograms"]["difficulty"]) == 70


def test_histograms_are_kept_at_the_first_middle_and_last_epoch() -> None:
    kept = []
    for epoch in range(240):
        report = EpochReport(epoch, {"k": {"test/top1": 1.0, "difficulty": [1.0, 2.0]}})
        entry = history_entry(report, "k", 1.0, epochs=240, macs_per_second=1.0)
        assert entry["metrics"] == {"test/top1": 1.0}
        if "histograms" in entry:
            kept.append(epoch)
    assert kept == [0, 120, 239]


def test_final_metrics_are_last_best_and_the_mean_of_the_last_ten() -> None:
    top1 = [99.0, *range(50, 60), 40.0]
    history = [
        {"metrics": {"test/top1": t, "test/loss": t / 10}, "seconds": 6.0, "students": 3}
        for t in top1
    ]
    assert dict(final_metrics(history)) == {
        "final/top1_last": 40.0,
        "final/top1_best": 99.0,
        "final/top1_last10": pytest.approx((sum(range(51, 60)) + 40) / 10),
        "final/test_loss_last": 4.0,
        "final/train_seconds": pytest.approx(12 * 6 / 3),
    }
    assert dict(final_metrics(history[:2]))["final/top1_last10"] == pytest.approx((99 + 50) / 2)


def test_tags_say_what_a_run_is(finished: Path) -> None:
    assert tiny.record(RUNS[1], finished).tags() == {
        "key": key(RUNS[1]),
        "dataset": "digits",
        "split": "full",
        "pair": "resnet8:resnet8",
        "teacher": "resnet8",
        "student": "resnet8",
        "method": "kd",
        "trial": "1",
        "profile": "demo",
        "grid": "demo",
    }
    assert run_tags(tiny.TEACHER)["teacher"] == ""


def test_finished_is_written_after_everything_else(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[str, str]] = []
    rename = Path.replace

    def watched(self: Path, target: Path) -> Path:
        text = self.read_text() if target.name == "status.json" else "{}"
        written.append((target.parent.name, json.loads(text).get("state", target.name)))
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    tiny.train(RUNS, directory)
    for run in STUDENTS:
        mine = [what for who, what in written if who == key(run)]
        assert mine[0] == "run.json"
        assert mine[-4:] == ["checkpoint", "weights.safetensors", "test_logits.npz", "FINISHED"]
        assert mine.index("RUNNING") < mine.index("checkpoint")


def test_the_tracker_sees_every_epoch_and_the_end(directory: Path) -> None:
    tracker = tiny.Tracker()
    tiny.train(RUNS, directory, tracker=tracker)
    for run in STUDENTS:
        seen = [update[1:] for update in tracker.updates if update[0] == key(run)]
        assert seen == [("RUNNING", epochs) for epochs in range(4)] + [("FINISHED", 3)]


# interruptions


@pytest.mark.parametrize("every_seconds", [0.0, 1e9], ids=["checkpoints", "none but the last"])
def test_stopped_in_the_middle_of_an_epoch_then_equal_to_uninterrupted(
    directory: Path, finished: Path, monkeypatch: pytest.MonkeyPatch, every_seconds: float
) -> None:
    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", every_seconds)
    stop = tiny.Ticks(TICKS_AN_EPOCH + 2, Stopped("stopped by a test"))
    with pytest.raises(Stopped):
        tiny.train(RUNS, directory, tick=stop)
    for run in STUDENTS:
        status = tiny.record(run, directory).status()
        assert status is not None
        assert (status.state, status.reason) == ("STOPPED", "stopped by a test")
        assert len(tiny.record(run, directory).history()) == 1
    assert next_epochs(directory) == ([1, 1] if every_seconds == 0 else [0, 0])
    assert_goes_on_to_the_same(directory, finished)


def test_only_the_epochs_after_the_checkpoint_are_trained_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(Stopped):
        tiny.train(RUNS, directory, tick=tiny.Ticks(2 * TICKS_AN_EPOCH + 1, Stopped("")))
    ticks = tiny.Ticks()
    tiny.train(RUNS, directory, tick=ticks)
    assert ticks.count == TICKS_AN_EPOCH


def test_the_start_of_a_run_is_that_of_its_first_try(directory: Path) -> None:
    with pytest.raises(Stopped):
        tiny.train(RUNS, directory, tick=tiny.Ticks(2, Stopped("")))
    begun = tiny.record(STUDENTS[0], directory).status()
    tiny.train(RUNS, directory)
    ended = tiny.record(STUDENTS[0], directory).status()
    assert begun is not None
    assert ended is not None
    assert begun.started_ms == ended.started_ms


def test_a_stop_between_epochs_loses_none_of_them(
    directory: Path, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a limit below CHECKPOINT_SECONDS would train the same epochs for ever."""
    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", 1e9)
    expected = []

    def before_epoch(seconds: float) -> None:
        expected.append(seconds)
        if len(expected) == 2:
            raise Stopped("no time")

    for epochs in (1, 2):
        expected.clear()
        with pytest.raises(Stopped):
            tiny.train(RUNS, directory, before_epoch=before_epoch)
        assert next_epochs(directory) == [epochs, epochs]
        assert states(directory) == ["STOPPED", "STOPPED"]
    assert_goes_on_to_the_same(directory, finished)


def test_the_first_epoch_is_expected_to_take_what_the_machine_took_before(directory: Path) -> None:
    expected: list[float] = []

    def refuse(seconds: float) -> None:
        expected.append(seconds)
        raise Stopped("")

    for speed in (None, 1e6, 2e6):
        with pytest.raises(Stopped):
            tiny.train(RUNS, directory, before_epoch=refuse, speed=speed)
    assert expected[0] == 0
    assert expected[1] == pytest.approx(2 * expected[2])
    assert expected[1] > 100  # two students and a teacher of 13 million on 70 images


def crash_images(
    directory: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """Trains, and copies the runs directory at the moments in which a kill would leave it so."""

    def image(name: str) -> None:
        shutil.copytree(directory, images / name)

    append, save, save_half = Record.append, checkpoint.save, jobs.save_half
    write_status = Record.write_status
    count: dict[str, int] = {}

    def number(what: str) -> int:
        count[what] = count.get(what, 0) + 1
        return count[what]

    def appending(self: Record, entry: dict[str, Any]) -> None:
        append(self, entry)
        image(f"history {number('history')}")

    def saving(path: Path, *given: Any) -> None:
        save(path, *given)
        image(f"checkpoint {number('checkpoint')}")

    def weights(*given: Any) -> None:
        save_half(*given)
        image(f"weights {number('weights')}")

    def status(self: Record, given: Status) -> None:
        write_status(self, given)
        if given.state == "FINISHED":
            image(f"finished {number('finished')}")

    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(Record, "append", appending)
    monkeypatch.setattr(checkpoint, "save", saving)
    monkeypatch.setattr(jobs, "save_half", weights)
    monkeypatch.setattr(Record, "write_status", status)
    ticks = tiny.Ticks()

    def tick() -> None:
        ticks()
        if ticks.count == 2 * TICKS_AN_EPOCH + 2:
            image("epoch 2")

    tiny.train(RUNS, directory, tick=tick)
    monkeypatch.undo()
    return lambda name: images / name


@pytest.fixture(scope="module")
def images(with_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as monkeypatch:
        directory = Path(shutil.copytree(with_teacher, root / "runs"))
        return crash_images(directory, root, monkeypatch)


@pytest.mark.parametrize(
    ("moment", "ticks"),
    [
        ("epoch 2", 5),  # three steps and two evaluated batches
        ("history 3", 10),  # epoch 1 of one student, but no checkpoint of it yet
        ("history 4", 10),  # epoch 1 of both, still no checkpoint
        ("checkpoint 3", 4 + 8),  # epoch 1 of one student only: two cohorts from here on
        ("checkpoint 5", 1 + 4),
        ("checkpoint 6", 2),  # nothing left to train, the test logits are made again
        ("weights 1", 2),
        ("finished 1", 1),
        ("weights 2", 1),
    ],
)
def test_killed_then_equal_to_uninterrupted(
    images: Callable[[str], Path], finished: Path, tmp_path: Path, moment: str, ticks: int
) -> None:
    """A kill leaves no chance to write anything: what was on disk is what there is."""
    directory = Path(shutil.copytree(images(moment), tmp_path / "runs"))
    assert "RUNNING" in states(directory)
    counted = tiny.Ticks()
    tiny.train(RUNS, directory, tick=counted)
    assert tiny.results(RUNS, directory) == tiny.results(RUNS, finished)
    assert counted.count == ticks


def test_history_beyond_the_checkpoint_is_cut(
    images: Callable[[str], Path], tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(images("history 4"), tmp_path / "runs"))
    assert [len(tiny.record(run, directory).history()) for run in STUDENTS] == [2, 2]
    assert next_epochs(directory) == [1, 1]
    tracker = tiny.Tracker()
    tiny.train(RUNS, directory, tracker=tracker)
    assert [update[2] for update in tracker.updates[:2]] == [1, 1]


def test_a_torn_last_line_of_history_does_not_count(
    images: Callable[[str], Path], finished: Path, tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(images("epoch 2"), tmp_path / "runs"))
    with (tiny.record(STUDENTS[0], directory).directory / "history.jsonl").open("a") as file:
        file.write('{"epoch": 2, "met')
    assert_goes_on_to_the_same(directory, finished)


def test_a_damaged_checkpoint_costs_an_epoch_and_is_told(
    images: Callable[[str], Path], finished: Path, tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(images("epoch 2"), tmp_path / "runs"))
    path = tiny.record(STUDENTS[0], directory).checkpoint
    path.write_bytes(path.read_bytes()[:-10])
    progress = tiny.Progress()
    tiny.train(RUNS, directory, progress=progress)
    assert sum("damaged" in line and str(path) in line for line in progress.lines) == 1
    assert tiny.results(RUNS, directory) == tiny.results(RUNS, finished)


def test_a_checkpoint_of_another_network_is_refused(
    images: Callable[[str], Path], tmp_path: Path
) -> None:
    directory = Path(shutil.copytree(images("epoch 2"), tmp_path / "runs"))
    record = tiny.record(STUDENTS[0], directory)
    other = tiny.student(tiny.run(network="resnet14"))
    checkpoint.save(record.checkpoint, other.state(), {"key": record.key, "next_epoch": 2})
    with pytest.raises(UserError, match=r"does not fit resnet8.*remove"):
        tiny.train(RUNS, directory)


def test_a_plan_from_before_another_launcher_is_refused(finished: Path) -> None:
    with pytest.raises(UserError, match="has just changed; give the same command again"):
        run_cohort(Cohort(STUDENTS), tiny.runtime(finished))


def test_a_crash_of_our_own_is_a_stop_with_its_reason(directory: Path) -> None:
    progress = tiny.Progress()
    tiny.train(RUNS, directory, tick=tiny.Ticks(2, ZeroDivisionError("oh")), progress=progress)
    assert "ZeroDivisionError: oh" in " ".join(progress.lines)
    statuses = [tiny.record(run, directory).status() for run in STUDENTS]
    assert [status and status.reason for status in statuses] == ["ZeroDivisionError('oh')"] * 2


# checkpoints, failures, repetition


@pytest.mark.parametrize(("every_seconds", "epochs"), [(0.0, [1, 2, 3]), (1e9, [3])])
def test_checkpoints_keep_their_distance_but_the_last_epoch_has_one(
    directory: Path, monkeypatch: pytest.MonkeyPatch, every_seconds: float, epochs: list[int]
) -> None:
    saved: list[tuple[str, int]] = []
    save = checkpoint.save

    def watched(path: Path, tensors: dict[str, torch.Tensor], meta: dict[str, Any]) -> None:
        saved.append((meta["key"], meta["next_epoch"]))
        save(path, tensors, meta)

    monkeypatch.setattr(jobs, "CHECKPOINT_SECONDS", every_seconds)
    monkeypatch.setattr(checkpoint, "save", watched)
    tiny.train(RUNS, directory)
    assert saved == [(key(run), epoch) for epoch in epochs for run in STUDENTS]


def test_a_student_that_fails_says_when_and_why_and_is_not_trained_again(
    directory: Path, finished: Path
) -> None:
    failing = tiny.run("kd", optim=EXPLODING)
    progress = tiny.Progress()
    tiny.train((*RUNS, failing), directory, progress=progress)
    status = tiny.record(failing, directory).status()
    assert status is not None
    assert status.state == "FAILED"
    assert "is not finite at epoch 0" in status.reason
    assert status.reason.startswith(("train/", "test/"))
    assert progress.lines == [f"resnet8:resnet8 kd: {status.reason}"]
    assert not tiny.record(failing, directory).weights.exists()
    assert tiny.results(RUNS, directory) == tiny.results(RUNS, finished)
    ticks = tiny.Ticks()
    assert tiny.train((*RUNS, failing), directory, tick=ticks) == []
    assert ticks.count == 0


def test_students_of_a_failed_teacher_are_not_started(tmp_path: Path) -> None:
    teacher = replace(tiny.TEACHER, optim=EXPLODING)
    student = tiny.run("kd", teacher=teacher)
    blocked = tiny.train((teacher, student), tmp_path)
    assert [cohort.runs for cohort in blocked] == [(student,)]
    assert states(tmp_path, (teacher, student)) == ["FAILED", None]


def test_an_unfinished_teacher_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not finished"):
        run_cohort(Cohort(STUDENTS), tiny.runtime(tmp_path))
    assert not list(Records(tmp_path))


def test_finished_runs_are_not_trained_again(finished: Path) -> None:
    ticks, tracker = tiny.Ticks(), tiny.Tracker()
    before = tiny.results(RUNS, finished)
    assert tiny.train(RUNS, finished, tick=ticks, tracker=tracker) == []
    assert ticks.count == 0
    assert tracker.updates == []
    assert tiny.results(RUNS, finished) == before


def test_what_is_left_to_finish_needs_no_time_for_an_epoch(
    images: Callable[[str], Path], tmp_path: Path
) -> None:
    def refuse(seconds: float) -> None:
        raise Stopped(f"{seconds}")

    directory = Path(shutil.copytree(images("checkpoint 6"), tmp_path / "runs"))
    tiny.train(RUNS, directory, before_epoch=refuse)
    assert states(directory) == ["FINISHED", "FINISHED"]
