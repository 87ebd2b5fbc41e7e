"""What a record says of a run: its tags, the line of an epoch, the final metrics. Pure."""

from typing import Any

from repro.records import now_ms
from repro.spec import Run, key, tail_epochs
from repro.train.cohort import EpochReport


def run_tags(run: Run) -> dict[str, str]:
    """The tags that follow from the run itself."""
    return {
        "key": key(run),
        "dataset": run.stream.dataset,
        "split": run.stream.split,
        "pair": run.pair,
        "teacher": run.teacher.network if run.teacher else "",
        "student": run.network,
        "method": run.method,
        "trial": str(run.trial),
    }


def history_entry(
    report: EpochReport, k: str, seconds: float, *, epochs: int, macs_per_second: float
) -> dict[str, Any]:
    """A line of history.jsonl; histograms only at the first and last epoch and at ``late_epoch``.

    ``seconds`` is the whole cohort's time; ``students`` says how many shared it.
    """
    metrics = report.metrics[k]
    entry = {
        "epoch": report.epoch,
        "time_ms": now_ms(),
        "seconds": round(seconds, 3),
        "students": len(report.metrics),
        "macs_per_second": round(macs_per_second),
        "metrics": {name: v for name, v in metrics.items() if not isinstance(v, list)},
    }
    if report.epoch in (0, late_epoch(epochs), epochs - 1):
        entry["histograms"] = {name: v for name, v in metrics.items() if isinstance(v, list)}
    return entry


def late_epoch(epochs: int) -> int:
    """The 150th of 240, the last before the paper's learning rate drops, or its like."""
    return max(round(epochs * 150 / 240) - 1, 0)


def final_metrics(history: list[dict[str, Any]]) -> tuple[tuple[str, float], ...]:
    """Last, best, and the mean of the last ten epochs (of a short training: ``tail_epochs``)."""
    top1 = [entry["metrics"]["test/top1"] for entry in history]
    tail, last = top1[-tail_epochs(len(top1)) :], history[-1]["metrics"]
    return (
        ("final/top1_last", top1[-1]),
        ("final/top1_best", max(top1)),
        ("final/top1_last10", sum(tail) / len(tail)),
        ("final/test_loss_last", last["test/loss"]),
        *([("final/top5_last", last["test/top5"])] if "test/top5" in last else []),
        ("final/train_seconds", sum(e["seconds"] / e["students"] for e in history)),
    )
