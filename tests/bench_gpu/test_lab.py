"""Rows: labels, numbers, errors, and what no time was left for."""

import io
import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from repro.bench.gpu.device import Rehearsal, Run
from repro.bench.gpu.lab import Lab, Row, Sizes, Timed, by_student


@dataclass
class Clocked(Rehearsal):
    """A device whose blocks take the given milliseconds, one after another."""

    ms: list[float] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)

    def block_ms(self, run: Run, times: int) -> float:
        run(times)
        self.blocks.append(times)
        return self.ms.pop(0)


def lab(device: Rehearsal | None = None, **more: Any) -> Lab:
    return Lab(device=device or Rehearsal(), out=io.StringIO(), **more)


def written(of: Lab) -> list[Row]:
    assert isinstance(of.out, io.StringIO)
    return [json.loads(line) for line in of.out.getvalue().splitlines()]


def nothing(_times: int) -> None: ...


def fails() -> Row:
    raise RuntimeError("made up\nwith pages\nof details")


def test_an_error_is_a_row_and_the_next_variant_goes_on() -> None:
    mine = lab()
    mine.row({"variant": 1}, fails)
    mine.row({"variant": 2}, lambda: {"ms": 3.0})
    assert written(mine) == [
        {"variant": 1, "error": "RuntimeError: made up"},
        {"variant": 2, "ms": 3.0},
    ]


def test_no_variant_begins_when_the_budget_is_spent() -> None:
    mine = lab(seconds=0.0)
    mine.row({"variant": 1}, fails)
    assert written(mine) == [{"variant": 1, "left_out": "the budget is spent"}]


def test_minimum_and_median_over_the_repeats() -> None:
    device = Clocked(ms=[4.0, 3.0, 1.0, 2.0])
    row = lab(device).time(nothing)
    assert device.blocks == [2, 200, 200, 200]
    assert (row["ms_min"], row["ms_median"]) == (1.0, 2.0)
    assert (row["replays"], row["repeats"]) == (200, 3)


def test_slow_work_has_fewer_replays() -> None:
    device = Clocked(ms=[100.0, *[100.0] * 3])
    assert lab(device).time(nothing)["replays"] == 15
    slowest = Clocked(ms=[1e6, *[1e6] * 3])
    assert lab(slowest).time(nothing)["replays"] == 2
    quick = Clocked(ms=[100.0, *[100.0] * 3])
    assert lab(quick).quick(0.5).time(nothing)["replays"] == 5


def test_forms_take_turns_and_one_that_fails_leaves_the_others() -> None:
    def broken() -> Run:
        raise RuntimeError("no capture")

    device = Clocked(ms=[1.0, 10.0, 1.0, 30.0, 11.0, 31.0])
    makers = {"a": lambda: nothing, "b": broken, "c": lambda: nothing}
    mine = lab(device, sizes=replace(Sizes(), repeats=2))
    rows = mine.compare({"n": 1}, makers, students=2)
    assert [row["form"] for row in rows] == ["a", "b", "c"]
    assert [row.get("ms_min") for row in rows] == [10.0, None, 30.0]
    assert [row.get("ms_median") for row in rows] == [10.5, None, 30.5]
    assert rows[1]["error"] == "RuntimeError: no capture"
    assert rows == written(mine)


def test_an_error_while_repeating_keeps_what_was_measured() -> None:
    device = Clocked(ms=[1.0, 10.0])  # the next block finds nothing
    (row,) = lab(device).compare({}, {"a": lambda: nothing})
    assert row["ms_min"] == 10.0
    assert row["repeats"] == 1
    assert row["error"].startswith("IndexError")
    with pytest.raises(RuntimeError, match="IndexError"):
        lab(Clocked(ms=[1.0, 10.0])).time(nothing)


def test_a_step_is_divided_among_its_students() -> None:
    row = by_student({"ms_median": 4.0}, students=8, batch=64)
    assert row == {"ms_median": 4.0, "ms_per_student": 0.5, "student_images_per_second": 128_000}
    assert by_student(Timed(error="x").as_row(), 8, 64) == {"error": "x"}
