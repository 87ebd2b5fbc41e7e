"""``repro record`` and ``repro browse``: results that are committed, made and looked at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from repro import output, recorded
from repro.environment import ROOT
from repro.judging import report
from repro.serving import check_free, is_remote, ui
from repro.tracking import tracking_uri


def record(console: Console, grid: str, *, profile: str, runs_dir: Path) -> None:
    """Measure all that tables and figures show of a grid, then write its archive."""
    (results,) = output.finished_grids(grid, profile, runs_dir)
    if not results.recorded:
        output.tables(console, grid, profile=results.profile.name, runs_dir=runs_dir)
        output.figures(console, grid, profile=results.profile.name, runs_dir=runs_dir)
    path = recorded.pack(results)
    megabytes = path.stat().st_size / 1e6
    console.print(f"{path.relative_to(ROOT)}: {megabytes:.2f} MB", highlight=False, markup=False)


def browse(console: Console, port: int, *, runs_dir: Path, serve: bool) -> int:
    """Fill ``runs_dir`` with the recorded results and serve MLflow's UI; meanwhile make their
    tables, figures and reports. Returns the exit code."""
    if serve and not is_remote(tracking_uri(runs_dir)):
        check_free(port)  # before the work
    found = recorded.fill(runs_dir)
    for one in found:
        words = f"{one['grid']}, profile {one['profile']}: {one['runs']} runs, {one['trained']}"
        console.print(f"recorded {one['ended']}: {words}", highlight=False, markup=False)
    output.sync(console, runs_dir)
    if serve:
        return ui(console, runs_dir, port, making=lambda: make(console, found, runs_dir))
    make(console, found, runs_dir)
    return 0


def make(console: Console, found: Sequence[dict[str, Any]], runs_dir: Path) -> None:
    """Tables, figures and reports of the archives that were ``found``."""
    for profile in dict.fromkeys(one["profile"] for one in found):  # two share a grid's directory
        for one in found:
            if one["profile"] == profile:
                output.figures(console, one["grid"], profile=profile, runs_dir=runs_dir)
        report(console, profile=profile, runs_dir=runs_dir)
