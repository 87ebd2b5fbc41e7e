"""Each rule at both sides of its threshold, on made-up numbers (``made_up``)."""

import pytest

from repro.bench.gpu.rules import NOT_MEASURED, Decision, Line, decide
from tests.bench_gpu.made_up import Row, alone, cohort, convolution, correctness, line


def of(rule: str, *lines: Line) -> Decision:
    (found,) = [decision for decision in decide(lines) if decision.rule == rule]
    return found


def test_nothing_measured_decides_nothing() -> None:
    found = decide([])
    assert [decision.rule for decision in found] == [f"R{number}" for number in range(1, 10)]
    assert {decision.decision for decision in found} == {NOT_MEASURED}


def test_a_rehearsal_decides_nothing() -> None:
    rows = cohort("lanes", 0.3), cohort("serial", 1.0)
    assert of("R2", line("E3", *rows)).decision == "lanes: a graph each"
    assert of("R2", line("E3", *rows, rehearsal=True)).decision == NOT_MEASURED


@pytest.mark.parametrize(("bf16", "expected"), [(0.92, "fp32"), (0.90, "bf16")])
def test_tf32_is_preferred_within_ten_percent(bf16: float, expected: str) -> None:
    measured = line("E2", alone("fp32", 1.0), alone("bf16", bf16), alone("fp16", 1.2))
    assert of("R1", measured).decision == expected


def test_cohorts_choose_the_precision_where_both_were_measured() -> None:
    one = line("E2", alone("fp32", 1.0), alone("bf16", 2.0))
    cohorts = line("E3", cohort("lanes", 0.5), cohort("lanes", 0.4, precision="bf16"))
    found = of("R1", one, cohorts)
    assert found.decision == "bf16"
    assert found.numbers["cohort_ms_per_student"] == {"fp32": 0.5, "bf16": 0.4}
    assert found.numbers["alone_ms"] == {"fp32": 1.0, "bf16": 2.0, "fp16": None}


def test_a_precision_recorded_wrongly_or_not_finite_is_not_chosen() -> None:
    fast = alone("bf16", 0.5)
    slow = alone("fp32", 1.0)
    wrong = line("E2", fast, slow, correctness("bf16", 0.002), correctness("fp32", 0.0005))
    found = of("R1", wrong)
    assert found.decision == "fp32"
    assert found.numbers["wrong"] == ["bf16"]
    assert of("R1", line("E2", slow, alone("fp16", 0.1, finite=False))).decision == "fp32"


@pytest.mark.parametrize(
    ("lanes", "fork_join", "expected"),
    [
        (0.59, 0.58, "lanes: a graph each"),
        (0.59, 0.50, "fork-join in one graph"),
        (0.70, 0.55, "fork-join in one graph"),
        (0.70, 0.65, "serial in one graph: side by side gains too little"),
    ],
)
def test_lanes_fork_join_or_serial(lanes: float, fork_join: float, expected: str) -> None:
    rows = cohort("lanes", lanes), cohort("fork_join", fork_join), cohort("serial", 1.0)
    assert of("R2", line("E3", *rows)).decision == expected


def test_a_fork_join_that_failed_leaves_lanes() -> None:
    failed: Row = {"form": "fork_join", "students": 8, "precision": "fp32", "error": "made up"}
    rows = cohort("lanes", 0.4), failed, cohort("serial", 1.0)
    assert of("R2", line("E3", *rows)).decision == "lanes: a graph each"


@pytest.mark.parametrize(("ms", "expected"), [(0.40, "stacked where"), (0.41, "not stacked")])
def test_stacked_must_gain_a_fifth(ms: float, expected: str) -> None:
    stacked = line("E5", {"form": "stacked", "students": 16, "ms_per_student": ms})
    found = of("R3", stacked, line("E3", cohort("lanes", 0.5)))
    assert found.decision.startswith(expected)
    assert found.numbers == {"E5": ms, "E3": 0.5}


@pytest.mark.parametrize(
    ("ms", "seconds", "expected"),
    [
        (0.75, 60.0, "compile, then record"),
        (0.76, 60.0, "do not compile"),
        (0.50, 61.0, "do not compile"),
    ],
)
def test_compiling_must_cut_a_quarter_within_a_minute(
    ms: float, seconds: float, expected: str
) -> None:
    compiled = line(
        "E6",
        {"part": "compile", "precision": "fp32", "seconds": seconds},
        {"form": "compiled_serial", "precision": "fp32", "students": 1, "ms_median": ms},
    )
    plain = line("E3", cohort("serial", 1.0, students=1, ms_median=1.0))
    assert of("R4", compiled, plain).decision == expected
    assert of("R4", compiled, line("E2", alone("fp32", 1.0))).decision == expected
    assert of("R4", compiled).decision == NOT_MEASURED


@pytest.mark.parametrize(("streams", "expected"), [(1.5, "block-diagonal"), (1.4, "no packs")])
def test_packs_must_be_half_as_fast_again(streams: float, expected: str) -> None:
    rows = convolution("streams", streams), convolution("packed", 1.0)
    found = of("R5", line("E4", *rows, convolution("packed", 0.1, channels=64)))
    assert found.decision.startswith(expected)


@pytest.mark.parametrize(("cpu_us", "expected"), [(2100.0, "unroll 11"), (1900.0, "one step")])
def test_steps_are_unrolled_where_launching_takes_half_of_them(
    cpu_us: float, expected: str
) -> None:
    found = of("R6", line("E3", cohort("lanes", 0.5, cpu_us=cpu_us)))
    assert found.decision.startswith(expected)
    assert found.numbers["share"] == pytest.approx(cpu_us / 4000)


@pytest.mark.parametrize(("us", "expected"), [(1.1, "at most 4"), (0.9, "8 branches and more")])
def test_branches_follow_the_front_end(us: float, expected: str) -> None:
    rows: list[Row] = [
        {"shape": "chain", "branches": 1, "us_per_node": 2.0},
        {"shape": "graphs", "branches": 4, "us_per_node": 0.1},
        {"shape": "graphs", "branches": 16, "us_per_node": us},
    ]
    assert of("R7", line("E1", *rows)).decision.startswith(expected)


@pytest.mark.parametrize(("several", "expected"), [(2600.0, "several"), (2500.0, "one process")])
def test_processes_must_gain_three_tenths(several: float, expected: str) -> None:
    rows: list[Row] = [
        {"processes": 1, "mps": False, "student_steps_per_second": 1500.0},
        {"processes": 4, "mps": True, "student_steps_per_second": several},
    ]
    found = of("R8", line("E12", *rows), line("E3", cohort("lanes", 0.5)))  # 2,000 steps/s
    assert found.decision.startswith(expected)


@pytest.mark.parametrize(("percent", "expected"), [(15.0, "CMKD is within"), (15.1, "CMKD costs")])
def test_cmkd_may_cost_fifteen_percent_over_kd(percent: float, expected: str) -> None:
    row = {"part": "step over kd", "students": 8, "percent": {"kd": 0.0, "cmkd": percent}}
    assert of("R9", line("E9", row)).decision.startswith(expected)
    assert of("R9", line("E9", row | {"students": 1})).decision == NOT_MEASURED


def test_the_last_line_without_an_error_counts() -> None:
    slow, fast = cohort("lanes", 0.9), cohort("lanes", 0.3)
    serial = cohort("serial", 1.0)
    failed = line("E3", error="timed out after 60 s")
    assert of("R2", line("E3", slow, serial), line("E3", fast, serial), failed).numbers == {
        "lanes": 0.3,
        "fork_join": None,
        "serial": 1.0,
    }
    partly = line("E3", fast, serial, error="timed out after 60 s")
    assert of("R2", failed, partly).numbers["lanes"] == 0.3
