"""The paper's seven claims, each with a verdict and an interval."""

from pathlib import Path

from repro.analysis.claim_table import claim_files
from repro.analysis.claims import judge
from repro.analysis.evidence import Evidence
from repro.analysis.formats import write_files
from repro.results import GridResults


def write(results: GridResults, out: Path) -> list[Path]:
    """``claims.{md,tex,html,csv}``; what another grid decides is "not run" here."""
    evidence = Evidence((results,))
    claims = judge(evidence)
    files = claim_files(claims, results.profile.name, evidence.marks, evidence.failed)
    return write_files(files, out / "claims")
