"""Made-up measurements: no machine gave these numbers."""

from typing import Any

Row = dict[str, Any]


def line(experiment: str, *rows: Row, **more: Any) -> Row:
    found = {"experiment": experiment, "rehearsal": False, "seconds": 1.0, "rows": list(rows)}
    return found | more


def cohort(form: str, ms: float, **more: Any) -> Row:
    """A row of E3 at 8 students."""
    row = {"form": form, "students": 8, "precision": "fp32", "ms_per_student": ms}
    return row | {"ms_median": 8 * ms, "cpu_us": 100.0} | more


def alone(precision: str, ms: float, **more: Any) -> Row:
    """A row of E2."""
    row = {"part": "speed", "precision": precision, "layout": "channels_last", "finite": True}
    return row | {"ms_median": ms} | more


def correctness(precision: str, difference: float) -> Row:
    return {
        "part": "correctness",
        "precision": precision,
        "deterministic": True,
        "moved": 0.1,
        "recorded_minus_eager": {"model": difference, "momentum": 0.0, "sums": 0.0},
    }


def convolution(form: str, us: float, channels: int = 16) -> Row:
    row: Row = {"operator": "conv3x3", "channels": [channels, channels], "dtype": "fp32"}
    return row | {"form": form, "total_us": us}
