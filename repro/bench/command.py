"""``repro bench``: from the command line's words to a table and a JSON file."""

import json
import os
import sys
from pathlib import Path

import torch
from rich.console import Console

from repro.bench import report
from repro.bench.cases import COHORTS, PAIRS, TEACHERS, Case, cases_of
from repro.bench.machine import computes_bf16
from repro.bench.pair import Plan
from repro.bench.run import Request, measure
from repro.bench.timing import Pace
from repro.errors import UserError
from repro.files import write_atomically

Words = tuple[str, ...]  # empty: the default
STDOUT = Path("-")


def request_of(
    device: torch.device,
    *,
    data: Path | None,
    reference: bool,
    repeats: int,
    seconds: float,
    **words: Words,
) -> Request:
    """A Request from the options as typed; ``words`` as in ``cases_on``. Raises UserError."""
    plan = Plan(reference=reference, repeats=repeats, pace=Pace(seconds=seconds))
    return Request(cases=cases_on(device, **words), device=device, plan=plan, source=data)


def cases_on(
    device: torch.device, *, pairs: Words, cohorts: Words, precision: Words, teacher: Words
) -> tuple[Case, ...]:
    """Every combination; by default bf16 too where the device computes it. Raises UserError."""
    usual = ("fp32", "bf16") if computes_bf16(device) else ("fp32",)
    return cases_of(pairs or PAIRS, cohorts or COHORTS, precision or usual, teacher or TEACHERS)


def bench(request: Request, target: Path | None, console: Console) -> None:
    """Measure, show, and write JSON to ``target`` ("-": to stdout). Raises UserError."""
    if target and target != STDOUT:
        check_target(target)
    measured = measure(request, lambda line: console.print(line, highlight=False))
    report.show(measured, console)
    text = json.dumps(report.as_json(measured), indent=1) + "\n"
    if target == STDOUT:
        sys.stdout.write(text)
    elif target:
        write_atomically(target, text)


def check_target(path: Path) -> None:
    """Told before minutes of measuring."""
    if path.is_dir() or not os.access(path.absolute().parent, os.W_OK):
        raise UserError(f"--json {path} is no file in an existing folder that can be written")
