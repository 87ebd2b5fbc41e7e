"""What follows from the measurements: a decision a rule, or "not measured". Pure functions.

Lines are those of the runner's file; the lines of a rehearsal decide nothing. The thresholds are
the plan's, set before anything was measured.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
Line = dict[str, Any]

NOT_MEASURED = "not measured"
COHORT = 8  # students: the size at which forms are compared
PREFERRED = "fp32"  # with TF32 convolutions: nearest to what published accuracies were made with
PRECISION_MARGIN = 1.10  # so much slower it may be
RECORDED_ERROR = 0.01  # of the weights' largest movement: more is a wrong recording, not rounding
PARALLEL_GAIN = 0.6  # side by side must take at most so much of the serial time
FORK_JOIN_GAIN = 1.10
STACKED_GAIN = 0.8
COMPILE_CUT, COMPILE_SECONDS = 0.25, 60.0
PACKED_GAIN = 1.5
FIRST_STAGE = [16, 16]  # channels
LAUNCH_SHARE, UNROLLED_STEPS = 0.5, 11  # 781 whole batches = 11 x 71
FRONT_END_US, MANY_BRANCHES = 1.0, 8
PROCESS_GAIN = 1.3
LOSS_PERCENT = 15.0


@dataclass(frozen=True)
class Decision:
    """``numbers``: those that decided, in the rows' units."""

    rule: str
    question: str
    decision: str
    numbers: dict[str, Any] = field(default_factory=dict)


def decide(lines: Sequence[Line]) -> list[Decision]:
    """Every rule, R1 to R9."""
    rows = {line["experiment"]: line.get("rows", []) for line in latest(lines)}
    found = []
    for number, (question, rule) in enumerate(RULES.items(), start=1):
        decision, numbers = rule(lambda name: rows.get(name, []))
        found.append(Decision(f"R{number}", question, decision, numbers))
    return found


def latest(lines: Sequence[Line]) -> list[Line]:
    """The last line of each experiment that was measured; one without an error where there is."""
    kept: dict[str, Line] = {}
    for line in lines:
        before = kept.get(line["experiment"])
        if line.get("rehearsal") or (before and "error" in line and "error" not in before):
            continue
        kept[line["experiment"]] = line
    return list(kept.values())


Rows = Callable[[str], list[Row]]
Finding = tuple[str, dict[str, Any]]


def least(rows: Iterable[Row], key: str, **labels: Any) -> float | None:
    """The smallest ``key`` of the rows that have these labels."""
    chosen = [row for row in rows if all(row.get(name) == label for name, label in labels.items())]
    return min((row[key] for row in chosen if key in row), default=None)


def precision(rows: Rows) -> Finding:
    """The fastest one, by cohorts where both were measured; TF32 if it is nearly as fast."""
    cohorts = {
        p: least(rows("E3"), "ms_per_student", form="lanes", students=COHORT, precision=p)
        for p in ("fp32", "bf16")
    }
    alone = {
        p: least(rows("E2"), "ms_median", part="speed", precision=p, finite=True)
        for p in ("fp32", "bf16", "fp16")
    }
    wrong = [row["precision"] for row in rows("E2") if is_wrong(row)]
    speeds = cohorts if all(cohorts.values()) else alone
    valid = {p: ms for p, ms in speeds.items() if ms is not None and p not in wrong}
    numbers = {"cohort_ms_per_student": cohorts, "alone_ms": alone, "wrong": wrong}
    if not valid:
        return NOT_MEASURED, numbers
    fastest = min(valid, key=lambda p: valid[p])
    if PREFERRED in valid and valid[PREFERRED] <= PRECISION_MARGIN * valid[fastest]:
        fastest = PREFERRED
    return fastest, numbers


def is_wrong(row: Row) -> bool:
    """Deterministic recorded steps that do not do what the eager ones do."""
    if row.get("part") != "correctness" or not row.get("deterministic") or "moved" not in row:
        return False
    return bool(row["recorded_minus_eager"]["model"] > RECORDED_ERROR * row["moved"])


def side_by_side(rows: Rows) -> Finding:
    numbers = {
        form: least(rows("E3"), "ms_per_student", form=form, students=COHORT, precision="fp32")
        for form in ("lanes", "fork_join", "serial")
    }
    lanes, fork_join, serial = numbers.values()
    if lanes is None or serial is None:
        return NOT_MEASURED, numbers
    parallel = min(lanes, fork_join or lanes)
    if parallel > PARALLEL_GAIN * serial:
        return "serial in one graph: side by side gains too little", numbers
    if fork_join is not None and fork_join * FORK_JOIN_GAIN < lanes:
        return "fork-join in one graph", numbers
    return "lanes: a graph each", numbers


def stacked(rows: Rows) -> Finding:
    numbers = {name: least(rows(name), "ms_per_student") for name in ("E5", "E3")}
    if None in numbers.values():
        return NOT_MEASURED, numbers
    stacking, others = numbers.values()
    wins = stacking <= STACKED_GAIN * others  # type: ignore[operator]
    return ("stacked where a cohort has one network" if wins else "not stacked"), numbers


def compiling(rows: Rows) -> Finding:
    """Of the precision in which compiling wins most."""
    best: dict[str, Any] = {}
    for p in ("fp32", "bf16"):
        compiled = least(rows("E6"), "ms_median", form="compiled_serial", precision=p)
        plain = least(rows("E3"), "ms_median", form="serial", students=1, precision=p)
        plain = plain or least(rows("E2"), "ms_median", part="speed", precision=p)
        seconds = least(rows("E6"), "seconds", part="compile", precision=p)
        if compiled and plain and seconds:
            cut = 1 - compiled / plain
            if not best or cut > best["cut"]:
                best = {"precision": p, "cut": cut, "compile_seconds": seconds}
                best |= {"compiled_ms": compiled, "plain_ms": plain}
    if not best:
        return NOT_MEASURED, best
    wins = best["cut"] >= COMPILE_CUT and best["compile_seconds"] <= COMPILE_SECONDS
    return ("compile, then record" if wins else "do not compile"), best


def packing(rows: Rows) -> Finding:
    """Forward pass and both gradients of the first stage's convolutions."""
    numbers = {
        form: least(rows("E4"), "total_us", operator="conv3x3", channels=FIRST_STAGE, form=form)
        for form in ("streams", "packed", "grouped")
    }
    if numbers["streams"] is None or numbers["packed"] is None:
        return NOT_MEASURED, numbers
    wins = numbers["streams"] >= PACKED_GAIN * numbers["packed"]
    return ("block-diagonal packs for the first stage" if wins else "no packs"), numbers


def unrolling(rows: Rows) -> Finding:
    labels = {"form": "lanes", "students": COHORT, "precision": "fp32"}
    numbers = {
        "cpu_us": least(rows("E3"), "cpu_us", **labels),
        "step_ms": least(rows("E3"), "ms_median", **labels),
    }
    launch, step = numbers.values()
    if launch is None or step is None:
        return NOT_MEASURED, numbers
    share = launch / (step * 1e3)
    wins = share > LAUNCH_SHARE
    decision = f"unroll {UNROLLED_STEPS} steps a graph" if wins else "one step a graph"
    return decision, numbers | {"share": share}


def branches(rows: Rows) -> Finding:
    chain = least(rows("E1"), "us_per_node", shape="chain")
    many = [row for row in rows("E1") if row.get("branches", 0) >= MANY_BRANCHES]
    rate = least(many, "us_per_node")
    numbers = {"chain_us_per_node": chain, "front_end_us_per_node": rate}
    if rate is None:
        return NOT_MEASURED, numbers
    if rate > FRONT_END_US:
        return "at most 4 branches; fewer nodes first", numbers
    return f"{MANY_BRANCHES} branches and more", numbers


def processes(rows: Rows) -> Finding:
    key = "student_steps_per_second"
    several = [row for row in rows("E12") if row.get("processes", 1) > 1 and key in row]
    ms = least(rows("E3"), "ms_per_student", form="lanes", students=COHORT, precision="fp32")
    one = [row[key] for row in rows("E12") if row.get("processes") == 1 and key in row]
    numbers = {
        "best": max((row[key] for row in several), default=None),
        "one_process": max([*one, *([1e3 / ms] if ms else [])], default=None),
    }
    best, alone = numbers.values()
    if best is None or alone is None:
        return NOT_MEASURED, numbers
    return ("several processes" if best >= PROCESS_GAIN * alone else "one process"), numbers


def loss_cost(rows: Rows) -> Finding:
    found = [row for row in rows("E9") if row.get("part") == "step over kd"]
    found = [row for row in found if row["students"] == COHORT and "cmkd" in row["percent"]]
    if not found:
        return NOT_MEASURED, {}
    percent = found[-1]["percent"]
    met = percent["cmkd"] <= LOSS_PERCENT
    return ("CMKD is within its target" if met else "CMKD costs too much"), percent


RULES: dict[str, Callable[[Rows], Finding]] = {
    "which precision": precision,
    "how students run side by side": side_by_side,
    "students stacked into one network": stacked,
    "torch.compile": compiling,
    "block-diagonal packs of convolutions": packing,
    "several steps a graph": unrolling,
    "how many branches": branches,
    "several processes": processes,
    "the cost of CMKD over KD": loss_cost,
}
