"""The report as one HTML page."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from repro import paper
from repro.analysis.accuracy import comparison_table
from repro.analysis.claims import judge
from repro.analysis.comparison import footnotes, places, wide
from repro.analysis.evidence import Evidence
from repro.analysis.published import load_published
from repro.environment import ROOT
from repro.report import claims as claim_pages
from repro.report.html import element, items, paragraphs, picture, table, text
from repro.report.runs import cells_of, environments, links, run_list
from repro.results import GridResults

TITLE = "CMKD (arXiv 2410.06561): do its claims hold?"
STYLE = Path(__file__).parent / "style.css"
OWN = ("accuracy", "claims")  # tables that the page makes itself, with links


@dataclass(frozen=True)
class Section:
    name: str  # also its address
    title: str
    body: str


def page(evidence: Evidence, built: str) -> str:
    """``built``: when and of what it was made, as shown. Everything is within the page."""
    sections = [
        Section("claims", "Claims", claims(evidence)),
        Section("tables", "Tables", "".join(tables(r) for r in evidence.grids)),
        Section("figures", "Figures", "".join(figures(r) for r in evidence.grids)),
        Section("methods", "How it was measured", methods(evidence)),
        Section("unknowns", "What is unknown, and our reading", unknowns()),
        Section("environment", "Where it ran", environment(evidence)),
        Section("again", "Run it again", again(evidence)),
        Section("runs", "Runs behind the numbers", "".join(map(run_list, evidence.grids))),
    ]
    menu = element("nav", *(element("a", text(s.title), href=f"#{s.name}") for s in sections))
    body = [element("section", element("h2", text(s.title)), s.body, id=s.name) for s in sections]
    marks = "".join(element("p", text(mark), class_="mark") for mark in evidence.marks)
    top = element("h1", text(TITLE)) + element("p", text(built), class_="soft") + marks
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{text(TITLE)}</title><style>{STYLE.read_text()}</style></head>"
        f"<body>{menu}<main>{top}{''.join(body)}</main></body></html>\n"
    )


def claims(evidence: Evidence) -> str:
    found = judge(evidence)
    overview = claim_pages.overview(found, evidence.failed)
    return overview + "".join(claim_pages.section(judged) for judged in found)


def tables(results: GridResults) -> str:
    """Accuracy with links to its runs, then every other table that was written."""
    published = load_published(ROOT / "paper_tables" / "published.csv")
    known = set(cells_of(results))
    parts = []
    for part, pairs in results.parts.items():
        compared = comparison_table(
            results.table,
            published,
            pairs=pairs,
            methods=results.methods(part),
            dataset=results.profile.stream.dataset,
        )
        shown = wide(compared)
        parts.append(element("h3", text(f"{part}: top-1 (%)")))
        linked = links(shown, known)
        parts.append(table(shown.reset_index(), links=linked, kinds=places(compared)))
        parts.append(items(footnotes(compared)))
    folder = results.out(ROOT / "paper_tables")
    for path in sorted(folder.glob("*.csv")):
        if not path.stem.startswith(OWN):
            parts.append(element("h3", text(f"{results.grid}: {words(path.stem)}")))
            parts.append(items(notes_of(path)))
            parts.append(as_written(path) or table(readable(path)))
    return "".join(parts)


def as_written(path: Path) -> str:
    """The table of the page beside a CSV, which is made for reading; empty where there is none."""
    page = path.with_suffix(".html")
    text = page.read_text() if page.exists() else ""
    start, end = text.find("<table>"), text.find("</table>")
    return element("div", text[start:end] + "</table>", class_="scroll") if 0 <= start < end else ""


def readable(path: Path) -> pd.DataFrame:
    """A table that was written, without the columns that only programs read."""
    frame = pd.read_csv(path, comment="#")
    return frame.drop(columns=[name for name in frame if name.startswith(("keys", "run_ids"))])


def notes_of(path: Path) -> list[str]:
    lines = path.read_text().splitlines()
    return [line.removeprefix("# ") for line in lines if line.startswith("# ")]


def figures(results: GridResults) -> str:
    """Every figure that was drawn; which are older than the newest run is said."""
    folder = results.out(ROOT / "figures")
    drawn = sorted(folder.glob("*.png"))
    again_words = f"`repro figures {results.grid}`"
    if not drawn:
        return element("p", text(f"{results.grid}: no figures yet; {again_words} draws them"))
    ended = [status.ended_ms for run in results.runs if (status := results.record(run).status())]
    newest = max((time for time in ended if time), default=0)
    old = [path.stem for path in drawn if path.stat().st_mtime * 1000 < newest]
    note = f"{results.grid}: older than the newest run: {', '.join(old)}; {again_words}"
    parts = [element("p", text(note), class_="mark")] if old else []
    parts += [picture(path, f"{results.grid}: {words(path.stem)}") for path in drawn]
    return "".join(parts)


def words(stem: str) -> str:
    return stem.replace("-", " ").replace("_", " ")


def methods(evidence: Evidence) -> str:
    stream = evidence.profile.stream
    lines = [
        f"Profile {evidence.profile.name}: {stream.dataset}, {stream.epochs} epochs, batches of "
        f"{stream.batch_size}, {evidence.profile.trials} trials. One trial's methods start from "
        "the same weights and see the same batches, so they are compared in pairs.",
        "Accuracy is top-1 on test images; within the suite the mean of the last 10 epochs, "
        "beside a published number that of the epoch which its source reports.",
        "Rules: F1 one pair (methods x trials, the larger of twice the residual mean square and "
        "the variance of the differences), F2 the mean over these pairs, F3 new pairs (students "
        "are the units, 5 or more), F6 slopes, F7 planes (trials and planes crossed), Holm within "
        "a family, a conjunction by intersection-union. `make statistics` simulates their error.",
        "No interval covers the draw of the test images or of the one teacher.",
    ]
    return paragraphs(lines)


def unknowns() -> str:
    rows = [
        {"field": name, "our value": str(u.value), "why": u.why, "varied by": u.ablation}
        for name, u in paper.CMKD.items()
    ]
    return paragraphs(
        ["The paper's full text could not be read: its loss here is our reading of its abstract."]
    ) + table(pd.DataFrame(rows))


def environment(evidence: Evidence) -> str:
    return "".join(
        element("h3", text(results.grid)) + table(environments(results))
        for results in evidence.grids
    )


def again(evidence: Evidence) -> str:
    """The commands, by part."""
    profile = evidence.profile.name
    lines: list[str] = []
    for results in evidence.grids:
        grid = results.grid
        lines += [
            f"repro {verb} {grid} --profile {profile}" for verb in ("run", "tables", "figures")
        ]
    lines += ["repro report", "make statistics   # the error and power of the rules, simulated"]
    return element("pre", text("\n".join(lines)))


def grids_shown(evidence: Evidence) -> Iterable[str]:
    return (results.grid for results in evidence.grids)


def built_words(evidence: Evidence, now: str, commit: str | None) -> str:
    runs: Sequence[str] = list(dict.fromkeys(evidence.table["key"]))
    where = f", commit {commit[:12]}" if commit else ""
    return f"{len(runs)} finished runs of {', '.join(grids_shown(evidence))}; built {now}{where}"
