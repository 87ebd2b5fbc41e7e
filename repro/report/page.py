"""The report as one HTML page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro.analysis.claims import judge
from repro.analysis.evidence import Evidence
from repro.environment import ROOT
from repro.manifest import listed
from repro.report import claims as claim_pages
from repro.report import sections
from repro.report.commands import command, options
from repro.report.figures import figures
from repro.report.html import element, items, paragraphs, table, text
from repro.report.runs import anchors, run_lists
from repro.report.written import read_written
from repro.results import GridResults

TITLE = "CMKD (arXiv 2410.06561): do its claims hold?"
STYLE = Path(__file__).parent / "style.css"
OWN = "claims"  # a table that the page makes itself
RUNS = (
    "A row a run, behind the cells of the tables: its directory under `runs/records/` (the start "
    "of its name), its run in MLflow, and its top-1 (%). On paper they are left out."
)


@dataclass(frozen=True)
class Section:
    name: str  # also its address
    short: str  # in the menu
    title: str
    body: str


def page(evidence: Evidence, built: str) -> str:
    """``built``: when and of what it was made, as shown. Everything is within the page."""
    grids = tuple(evidence.grids)
    shown = [
        Section("claims", "Claims", "Claims", claims(evidence)),
        Section("tables", "Tables", "Tables", "".join(tables(r, evidence) for r in grids)),
        Section("figures", "Figures", "Figures", "".join(map(figures, grids))),
        Section("methods", "Methods", "How it was measured", sections.methods(evidence)),
        Section("unknowns", "Unknowns", "What is unknown, and what departs", sections.unknowns()),
        Section("environment", "Machines", "Where it ran", sections.environment(grids)),
        Section("again", "Run it", "Run it again", sections.again(evidence)),
        Section("runs", "Runs", "Runs behind the numbers", paragraphs([RUNS]) + run_lists(grids)),
    ]
    menu = element("nav", *map(_entry, shown), aria_label="sections")
    marks = "".join(element("p", text(mark), class_="mark") for mark in evidence.marks)
    top = element("h1", text(TITLE)) + element("p", text(built), class_="soft") + marks
    body = menu + element("main", top, *map(_section, shown))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{text(TITLE)}</title><style>{STYLE.read_text()}</style></head>"
        f"<body>{body}</body></html>\n"
    )


def _entry(section: Section) -> str:
    return element("a", text(section.short), href=f"#{section.name}")


def _section(section: Section) -> str:
    return element("section", element("h2", text(section.title)), section.body, id=section.name)


def claims(evidence: Evidence) -> str:
    found = judge(evidence)
    run = {part for results in evidence.grids for part in results.parts}
    more = options(evidence.grids[0])
    parts = [claim_pages.section(judged, evidence.profile, run, more) for judged in found]
    return claim_pages.overview(found, evidence.failed) + "".join(parts)


def tables(results: GridResults, evidence: Evidence) -> str:
    """Every table that was written of these results, its cells with links to their runs."""
    found = listed(results.out(ROOT / "paper_tables"), results, ".md")
    paths = [path for path in found if path.stem != OWN]
    if not paths:
        again = f"`{command('tables', results)}`"
        return paragraphs([f"{results.grid}: no tables of these runs yet; {again} writes them."])
    places = anchors(evidence.grids)
    return "".join(_table(path, places, evidence.marks) for path in paths)


def _table(path: Path, places: dict[tuple[str, str], str], marks: Sequence[str]) -> str:
    """The page says its marks once, on top."""
    found = read_written(path)
    notes = [note for note in found.notes if note not in marks]
    links = found.links(places)
    shown = table(found.header, found.rows, found.title, links=links, kinds=found.kinds)
    return element("h3", text(found.title)) + shown + items(notes)


def grids_shown(evidence: Evidence) -> Iterable[str]:
    return (results.grid for results in evidence.grids)


def built_words(evidence: Evidence, now: str, commit: str | None) -> str:
    runs: Sequence[str] = list(dict.fromkeys(evidence.table["key"]))
    where = f", commit {commit[:12]}" if commit else ""
    return f"{len(runs)} finished runs of {', '.join(grids_shown(evidence))}; built {now}{where}"
