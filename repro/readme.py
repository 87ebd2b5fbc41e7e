"""The README's results: verdicts, tables and pictures of the recorded runs, between two marks.

``repro record`` writes them, and nothing in between is typed by hand.
"""

import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console

from repro import output, recorded
from repro.analysis.claim_table import flags, short
from repro.analysis.claims import judge
from repro.analysis.evidence import Evidence
from repro.environment import ROOT
from repro.errors import NotRecorded
from repro.estimate import clock
from repro.failures import failed_records
from repro.files import make_directory, write_atomically
from repro.grid import GRIDS
from repro.marks import machines
from repro.notes import markdown
from repro.results import GridResults
from repro.spec import key

README, BROWSED = ROOT / "README.md", ROOT / "runs" / "browse"
BEGIN = "<!-- from here on written by `repro record` from runs/recorded/ -->"
END = "<!-- up to here -->"
WIDTH = 100  # of a line that is no table's
TABLES = {
    "ablation": "ablation",
    "plug-in": "plug_in",
    "tuned": "tuned",
}  # scripts of paper_tables/, by grid
FOLDED = ("ablation", "tuning")  # long tables, to be opened by a click
# Scripts of figures/, by grid.
PICTURES = {
    "cifar-same": ("decision_regions", "inter_class_correlation"),
    "stronger-teacher": ("teacher_strength",),
    "ablation": ("ablation",),
}
DRAWN = ROOT / "figures" / "recorded"
COLUMNS = ("claim", "verdict", "scope", "estimate", "n", "D", "finds")


def write(runs_dir: Path = BROWSED, readme: Path = README, drawn: Path = DRAWN) -> Path:
    """Bring the file's results up to date. Raises UserError where nothing is recorded."""
    text = readme.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    write_atomically(readme, f"{before}{BEGIN}\n{section(runs_dir, drawn)}\n{END}{after}")
    return readme


def section(runs_dir: Path = BROWSED, drawn: Path = DRAWN) -> str:
    """What stands between the marks. ``runs_dir`` is filled with the recorded runs; the pictures
    are drawn into ``drawn``, in the place of those that are there."""
    found = recorded.fill(runs_dir)
    output.sync(Console(quiet=True), runs_dir)
    for path in drawn.glob("*.png"):
        path.unlink()
    profiles = sorted({one["profile"] for one in found}, key=output.SIZES.index)
    return "\n".join(line for name in profiles for line in _profile(name, found, runs_dir, drawn))


def _profile(
    name: str, found: Sequence[dict[str, Any]], runs_dir: Path, drawn: Path
) -> Iterator[str]:
    grids = sorted((one["grid"] for one in found if one["profile"] == name), key=[*GRIDS].index)
    known = [results for grid in grids for results in output.finished_grids(grid, name, runs_dir)]
    yield f"\n### Profile {name}\n"
    yield wrapped(f"{known[0].profile.mark or 'The protocol of the paper'}.") + "\n"
    yield wrapped(_cost(known))
    yield from _verdicts(known)
    for results in known:
        yield from _tables(results)
        yield from _pictures(results, drawn)


def _verdicts(known: Sequence[GridResults]) -> Iterator[str]:
    evidence = Evidence(tuple(output.distinct(known)))
    claims = judge(evidence)
    table = short(claims)
    yield "\n" + wrapped(
        "**Claims** (estimate with its 95 % interval; D: smallest effect of interest; finds: the "
        "smallest effect that these runs find in four of five repetitions); "
        f"`repro claims --profile {evidence.profile.name} --runs-dir runs/browse`"
    )
    yield ""
    yield markdown([*COLUMNS], [[str(row[c]) for c in COLUMNS] for _, row in table.iterrows()])
    lines = flags(claims, evidence.failed)
    yield "\n" + "\n".join(wrapped(f"- {line}", "  ") for line in lines)


def wrapped(text: str, indent: str = "") -> str:
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _cost(known: Sequence[GridResults]) -> str:
    """What it took, what failed, and on what."""
    records = {key(run): results.record(run) for results in known for run in results.runs}
    failed = {record.key for results in known for record in failed_records(results)}
    total = 0.0
    for record in records.values():
        status = record.status()
        assert status
        total += dict(status.final)["final/train_seconds"]
    return (
        f"{len(records)} runs, {len(failed)} failed, {clock(total)} of training, "
        f"{len(records) / (total / 3600):.0f} runs an hour, on {machines(records.values())}."
    )


def _tables(results: GridResults) -> Iterator[str]:
    """Accuracies and verdicts of a grid, as the scripts of ``paper_tables`` write them."""
    with tempfile.TemporaryDirectory() as out:
        name = TABLES.get(results.grid, "accuracy")
        written = output.written_by(ROOT / "paper_tables" / f"{name}.py", results, Path(out))
        for path in sorted(p for p in written if p.suffix == ".md"):
            title, *lines = path.read_text().splitlines()
            table = [line for line in lines if line.startswith("|")]
            yield from _folded(title.removeprefix("# "), results.grid, table)


def _folded(title: str, grid: str, table: list[str]) -> Iterator[str]:
    if grid not in FOLDED:
        yield f"\n**{title}** (grid `{grid}`)\n"
        yield "\n".join(table)
        return
    words = f"<b>{title}</b> (grid <code>{grid}</code>, {len(table) - 2} rows)"
    yield f"\n<details><summary>{words}</summary>\n"
    yield "\n".join([*table, "\n</details>"])


def _pictures(results: GridResults, drawn: Path) -> Iterator[str]:
    """Links to what the scripts of ``figures`` draw of a grid."""
    from repro.analysis.style import house_style  # matplotlib takes half a second to import

    with house_style(), tempfile.TemporaryDirectory() as out:
        for name in PICTURES.get(results.grid, ()):
            with suppress(NotRecorded):
                written = output.written_by(ROOT / "figures" / f"{name}.py", results, Path(out))
                for path in sorted(p for p in written if p.suffix == ".png"):
                    to = make_directory(drawn) / f"{results.profile.name}-{path.name}"
                    write_atomically(to, path.read_bytes())
                    words = f"{path.stem.replace('-', ' ')}, grid {results.grid}"
                    yield f"\n![{words}]({DRAWN.relative_to(ROOT)}/{to.name})"
