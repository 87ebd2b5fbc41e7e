"""``repro record`` and ``repro browse``: results that are committed, made and looked at."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from repro import output, readme, recorded
from repro.environment import ROOT
from repro.judging import RECORDED_REPORTS, report
from repro.serving import check_free, is_remote, ui
from repro.tracking import tracking_uri


def record(
    console: Console,
    grid: str | None,
    *,
    profile: str,
    runs_dir: Path,
    accuracy_only: bool = False,
    replace: bool = False,
) -> None:
    """Measure all that tables and figures show of a grid, unless ``accuracy_only``, and write its
    archive; then write the README's results, also where no grid is named.

    ``replace``: also in the place of other trainings of its runs.
    """
    if grid:
        (results,) = output.finished_grids(grid, profile, runs_dir)
        before = recorded.check_new(results, replace=replace).exists()
        if not accuracy_only:
            output.tables(console, grid, profile=results.profile.name, runs_dir=runs_dir)
            output.figures(console, grid, profile=results.profile.name, runs_dir=runs_dir)
        path = recorded.pack(results, students=not accuracy_only, replace=replace)
        words = f"{path.stat().st_size / 1e6:.2f} MB{', in the place of another' if before else ''}"
        console.print(f"{path.relative_to(ROOT)}: {words}", highlight=False, markup=False)
    console.print(f"{readme.write().relative_to(ROOT)}: its results", highlight=False)


def browse(console: Console, port: int, *, runs_dir: Path, serve: bool) -> int:
    """Fill ``runs_dir`` with the recorded results and serve MLflow's UI; meanwhile make their
    tables, figures and reports. Returns the exit code."""
    if serve and not is_remote(tracking_uri(runs_dir)):
        check_free(port)  # before the work
    found = recorded.fill(runs_dir)
    for one in found:
        words = f"{one['runs']} runs of {one['grid']}, profile {one['profile']}"
        console.print(f"recorded: {words}", highlight=False, markup=False)
    output.sync(console, runs_dir)
    if serve:
        return ui(console, runs_dir, port, making=lambda: make(console, found, runs_dir))
    make(console, found, runs_dir)
    return 0


def make(console: Console, found: Sequence[dict[str, Any]], runs_dir: Path) -> None:
    """Tables, figures and reports of the archives that were ``found``."""
    quiet = Console(quiet=True)  # their files are many; the reports hold them
    profiles = list(dict.fromkeys(one["profile"] for one in found))
    for profile in profiles:  # two share a grid's directory
        for one in found:
            if one["profile"] == profile:
                words = f"making tables and figures of {one['grid']}, profile {profile}"
                console.print(words, highlight=False, markup=False)
                output.figures(quiet, one["grid"], profile=profile, runs_dir=runs_dir)
        report(quiet, profile=profile, runs_dir=runs_dir)
    for profile in profiles:
        path = RECORDED_REPORTS / f"report-{profile}.html"
        console.print(f"report: {path.relative_to(ROOT)}", highlight=False, markup=False)
