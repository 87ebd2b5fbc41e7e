"""What a finished run leaves."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from repro.entries import final_metrics, history_entry, late_epoch, run_tags
from repro.spec import Run, key
from repro.train import checkpoint
from repro.train.cohort import EpochReport
from repro.train.evaluate import predict, scores
from repro.train.weights import load_half
from tests import tiny
from tests.jobs.students import RUNS, STUDENTS


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


def test_histograms_are_kept_at_the_first_epoch_before_the_drop_and_at_the_last() -> None:
    kept = []
    for epoch in range(240):
        report = EpochReport(epoch, {"k": {"test/top1": 1.0, "difficulty": [1.0, 2.0]}})
        entry = history_entry(report, "k", 1.0, epochs=240, macs_per_second=1.0)
        assert entry["metrics"] == {"test/top1": 1.0}
        if "histograms" in entry:
            kept.append(epoch)
    assert kept == [0, 149, 239]
    assert [late_epoch(epochs) for epochs in (1, 5, 8)] == [0, 2, 4]


def test_final_metrics_are_last_best_and_the_mean_of_the_last_ten() -> None:
    top1 = [99.0] * 48 + [*range(50, 60), 40.0]
    history = [
        {"metrics": {"test/top1": t, "test/loss": t / 10}, "seconds": 6.0, "students": 3}
        for t in top1
    ]
    assert dict(final_metrics(history)) == {
        "final/top1_last": 40.0,
        "final/top1_best": 99.0,
        "final/top1_last10": pytest.approx((sum(range(51, 60)) + 40) / 10),
        "final/test_loss_last": 4.0,
        "final/train_seconds": pytest.approx(59 * 6 / 3),
    }


@pytest.mark.parametrize(
    ("epochs", "tail"), [(1, 1), (9, 1), (10, 2), (49, 9), (50, 10), (240, 10)]
)
def test_a_short_training_is_not_judged_by_its_start(epochs: int, tail: int) -> None:
    history = [
        {"metrics": {"test/top1": float(e), "test/loss": 1.0}, "seconds": 1.0, "students": 1}
        for e in range(epochs)
    ]
    mean = sum(range(epochs - tail, epochs)) / tail
    assert dict(final_metrics(history))["final/top1_last10"] == pytest.approx(mean)


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
