"""A bench as tables for people and as JSON for programs."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from repro.bench.cases import PROFILE
from repro.bench.ceilings import Ceilings
from repro.bench.machine import reset_resident_peak
from repro.bench.projection import GRID, Projection
from repro.bench.results import Result
from repro.bench.run import Measured
from repro.estimate import clock

NOTES = {
    "ratio": "median over the repeats of student_images_per_second / reference_images_per_second, "
    "both of the same repeat; fraction_of_student_alone likewise",
    "reference": "repro/bench/reference.py: fixed, float32, one student and its own teacher pass; "
    "runs under the suite's GOMP_SPINCOUNT and malloc settings, which makes it faster",
    "epoch_seconds": "50,000 images of one student, the cohort's time divided among its students; "
    "evaluation apart",
    "peak_memory_bytes": "on CUDA of tensors; on a CPU the resident size of the whole process",
    "shares": "of the sum of the parts, each measured alone; logging without MLflow, evaluation "
    "apart",
    "floor": "the larger of FLOPs / peak FLOP/s and activation bytes / copying rate, the faster of "
    "memory's and the caches'",
}
COLUMNS = (
    "pair",
    "cohort",
    "precision",
    "teacher",
    "images/s",
    "usual loop",
    "ratio",
    "of one alone",
    "s/epoch",
    "h/student",
    "peak MiB",
    "x floor",
)


def as_json(measured: Measured) -> dict[str, Any]:
    """The whole bench as JSON-ready data; all times in seconds, all sizes in bytes."""
    request = measured.request
    plan = request.plan
    return {
        "hardware": measured.hardware,
        "settings": {
            "images": measured.images,
            "profile": PROFILE.name,
            "method": "kd",
            "batch_size": PROFILE.stream.batch_size,
            "repeats": plan.repeats,
            "block_seconds": plan.pace.seconds,
            "least_steps": plan.pace.least_steps,
            "reference": plan.reference,
            "peak_memory_reset": request.device.type == "cuda" or reset_resident_peak(),
            "notes": NOTES,
        },
        "ceilings": vars(measured.ceilings),
        "results": [result.as_json() for result in measured.results],
        "grid": {
            "name": GRID,
            "profile": PROFILE.name,
            "projections": [p.as_json() for p in measured.projections],
        },
    }


def show(measured: Measured, console: Console) -> None:
    """Speeds, shares, ceilings and the projection, as wide as they are."""
    for table in (speeds(measured.results), shares(measured.results)):
        wide = console.options.update(width=500)
        table.width = Measurement.get(console, wide, table).maximum
        console.print(table)
    console.print(ceilings_line(measured.ceilings), highlight=False)
    for projection in measured.projections:
        console.print(projection_line(projection), highlight=False)


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    return table


def speeds(results: Sequence[Result]) -> Table:
    """A row a case; "-" for what was not measured."""
    table = _table("Student images per second (medians), beside the usual loop", COLUMNS)
    for result in results:
        case, peak = result.case, result.peak_bytes
        table.add_row(
            case.pair,
            str(case.cohort),
            case.precision,
            case.teacher,
            f"{result.images_per_second:,.0f}",
            _number(result.reference_images_per_second, ",.0f"),
            _number(result.ratio, ".2f"),
            f"{result.fraction_of_student_alone:.2f}",
            f"{result.epoch_seconds:,.1f}",
            f"{result.run_seconds / 3600:,.2f}",
            _number(peak and peak / 2**20, ",.0f"),
            f"{result.times_above_floor:.1f}",
        )
    return table


def shares(results: Sequence[Result]) -> Table:
    """Percent of the sum of the parts, each measured alone."""
    names = list(results[0].shares)
    table = _table(
        "Shares of a step (%), of the sum of its parts measured alone", [*COLUMNS[:4], *names]
    )
    for result in results:
        case = result.case
        cells = [f"{100 * result.shares[name]:.2f}" for name in names]
        table.add_row(case.pair, str(case.cohort), case.precision, case.teacher, *cells)
    return table


def ceilings_line(ceilings: Ceilings) -> str:
    rates = [f"{flops / 1e9:,.0f} GFLOP/s {p}" for p, flops in ceilings.flops_per_second.items()]
    rates += [
        f"copying {ceilings.bytes_per_second / 1e9:,.1f} GB/s in memory",
        f"{ceilings.cached_bytes_per_second / 1e9:,.1f} GB/s in caches",
    ]
    return f"ceilings: {', '.join(rates)}"


def projection_line(projection: Projection) -> str:
    return (
        f"grid {GRID}, profile {PROFILE.name}, {projection.runs} runs in {projection.precision}: "
        f"about {clock(projection.seconds)} at the {projection.macs_per_second / 1e9:,.0f} GMAC/s "
        f"of cohorts of {projection.cohort}"
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
