"""``repro claims`` and ``repro report``: what finished runs say of the paper."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console

from repro.analysis import claim_text
from repro.analysis.claim_table import flags
from repro.analysis.claims import judge
from repro.analysis.evidence import Evidence
from repro.analysis.judged import Judged
from repro.environment import ROOT, git_commit, keep_freed_memory
from repro.files import make_directory, write_atomically
from repro.output import SIZES, finished_grids, write_tables
from repro.publish import publish_claims, publish_files
from repro.report.page import built_words, page
from repro.results import GridResults

REPORT = ROOT / "paper_tables" / "out" / "report.html"
RECORDED_REPORTS = REPORT.parent / "recorded"


def claims(
    console: Console,
    grid: str | None,
    *,
    profile: str,
    runs_dir: Path,
    imported: Sequence[str] = (),
    short: bool = False,
) -> None:
    """Print the verdicts of the grids with finished runs, all of one profile, and log them."""
    keep_freed_memory()
    grids = of_one_profile(list(finished_grids(grid, profile, runs_dir, imported)))
    evidence = Evidence(grids)
    found = judge(evidence)
    lines = [line for judged in found for line in said(judged, evidence, short)]
    for line in (*lines, *evidence.marks, *flags(found, evidence.failed)):
        console.print(line, highlight=False, markup=False)
    publish_claims(grids, found)


def said(judged: Judged, evidence: Evidence, short: bool) -> list[str]:
    """A claim in two or three lines, or with all that one weighs it by."""
    if short:
        return claim_text.short(judged)
    return claim_text.lines(judged, diverged=len(evidence.diverged(judged.grids, judged.arms)))


def report(
    console: Console,
    grid: str | None = None,
    *,
    profile: str,
    runs_dir: Path,
    imported: Sequence[str] = (),
) -> None:
    """Write the report of every grid with finished runs, after bringing their tables up to date."""
    keep_freed_memory()
    grids = of_one_profile(list(finished_grids(grid, profile, runs_dir, imported)))
    for results in grids:
        write_tables(console, results)
    evidence = Evidence(grids)
    now = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    path = report_path(grids[0])
    make_directory(path.parent)
    write_atomically(path, page(evidence, built_words(evidence, now, git_commit())))
    console.print(str(path.relative_to(ROOT)), highlight=False, markup=False)
    publish_files(grids, "report", [path])


def report_path(results: GridResults) -> Path:
    """Of recorded results one a profile, apart from what was run here."""
    return RECORDED_REPORTS / f"report-{results.profile.name}.html" if results.recorded else REPORT


def of_one_profile(found: Sequence[GridResults]) -> tuple[GridResults, ...]:
    """Those of the largest profile, and of the first of its datasets."""
    name = min((results.profile.name for results in found), key=SIZES.index)
    left = [results for results in found if results.profile.name == name]
    return tuple(r for r in left if r.profile.stream.dataset == left[0].profile.stream.dataset)
