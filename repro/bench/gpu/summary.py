"""The runner's lines as text: a line an experiment, a line a rule, and on demand every row."""

from collections.abc import Sequence
from typing import Any

from repro.bench.gpu.catalogue import CATALOGUE
from repro.bench.gpu.rules import Decision, Line, Row, decide

NESTED = (dict, list)


def table(lines: Sequence[Line]) -> list[str]:
    """The last line of every experiment, in order of value; "-" where there is none."""
    last = {line["experiment"]: line for line in lines}
    found = [f"{'':4} {'seconds':>8} {'rows':>5} {'errors':>6}  what"]
    for experiment in CATALOGUE:
        line = last.get(experiment.name)
        if line is None:
            found.append(f"{experiment.name:4} {'-':>8} {'-':>5} {'-':>6}  {experiment.title}")
            continue
        rows = line.get("rows", [])
        errors = sum("error" in row for row in rows)
        notes = [experiment.title]
        notes += ["(rehearsal)"] if line.get("rehearsal") else []
        notes += [f"ERROR {line['error']}"] if "error" in line else []
        left_out = sum("left_out" in row for row in rows)
        notes += [f"({left_out} left out)"] if left_out else []
        found.append(
            f"{experiment.name:4} {line['seconds']:8.1f} {len(rows):5} {errors:6}  "
            + " ".join(notes)
        )
    return found


def decisions(lines: Sequence[Line]) -> list[str]:
    return [decision_line(decision) for decision in decide(lines)]


def decision_line(decision: Decision) -> str:
    numbers = ", ".join(f"{name} {short(value)}" for name, value in decision.numbers.items())
    return f"{decision.rule} {decision.question}: {decision.decision}  [{numbers}]"


def rows(lines: Sequence[Line]) -> list[str]:
    """Every row on a line; what is nested stays in the file."""
    return [f"{line['experiment']} {row_line(row)}" for line in lines for row in line["rows"]]


def row_line(row: Row) -> str:
    flat = {n: v for n, v in row.items() if not isinstance(v, NESTED) or n == "percent"}
    return " ".join(f"{name}={short(value)}" for name, value in flat.items())


def short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} {short(item)}" for name, item in value.items()) + "}"
    return str(value)
