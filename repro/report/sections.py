"""What the numbers rest on: how it was measured, what is unknown, where it ran, how to run it."""

import pandas as pd

from repro import paper, paper_methods
from repro.analysis.evidence import Evidence
from repro.departures import DEPARTURES
from repro.grid import GRIDS
from repro.paper import Unknown
from repro.report.commands import command, trainings
from repro.report.html import element, frame_table, items, paragraphs, text
from repro.report.runs import environments
from repro.results import GridResults

DECIDES = {
    "demo": "C2, C3, C4 and C7 on digits",
    "cifar": "the four grids before plug-in (under profile quick the two accuracy tables)",
    "cifar-same": "C2, C3, C4, C7: pairs of one architecture",
    "cifar-different": "C2, C3, C4, C7: pairs across architectures",
    "stronger-teacher": "C1: one student under ever stronger teachers",
    "imagenet": "C2, C3, C4, C7 on ImageNet",
    "imagenet-stronger": "C1 on ImageNet",
    "ablation": "C5: every open choice of CMKD",
    "tuning": "no claim: temperature and weight of KD, DIST and CMKD, chosen on held-out images",
    "tuned": "no claim: these three as they are and as tuned",
    "plug-in": "C6: methods alone and with CMKD's terms",
}
FIRST = (
    "git clone <the repository> && cd <its folder>",
    "make setup                 # Python 3.11; nothing else has to be there",
    "repro data fetch           # CIFAR-100, but for profile demo; or: repro data import PATH",
)
LAST = (
    "make ui                    # every run in MLflow",
    "make statistics            # the error and power of the rules, simulated",
    "make test                  # the suite's own tests",
)


def methods(evidence: Evidence) -> str:
    stream = evidence.profile.stream
    lines = [
        f"Profile {evidence.profile.name}: {stream.dataset}, {stream.epochs} epochs, batches of "
        f"{stream.batch_size}, {trials_words(evidence)}. One trial's methods start from "
        "the same weights and see the same batches, so they are compared in pairs.",
        "Accuracy is top-1 on test images; within the suite the mean of the last 10 epochs (of "
        "a training under 50 epochs, of its last fifth), beside a published number that of the "
        "epoch which its source reports.",
        "A verdict: supported where the 95 % interval lies above 0 (after Holm within a family), "
        "refuted where it lies below the smallest effect of interest D, which was fixed before "
        "the runs, else inconclusive; not run below 3 trials. A claim of several parts needs all.",
        "Rules: F1 one pair (methods x trials, the larger of twice the residual mean square and "
        "the variance of the differences), F2 the mean over these pairs, F3 new pairs (students "
        "are the units, 5 or more), F6 slopes, F7 planes (trials and planes crossed), Holm within "
        "a family, a conjunction by intersection-union. `make statistics` simulates their error.",
        "Every trial counts: runs that diverged are named and not replaced, and their top-1 is "
        "that of chance; the claims say what they would be without. Their networks are not "
        "measured: where KD or CMKD diverged, C2, C3 and C7 are at best inconclusive. No interval "
        "covers the draw of the test images or of the one teacher.",
    ]
    return paragraphs(lines)


def trials_words(evidence: Evidence) -> str:
    """How many trials a student's cell has that was judged, such as "5 trials"; "2 to 5 trials"."""
    table = evidence.table
    students = table[table["method"] != "teacher"]
    counts = students.groupby(["pair", "method"])["trial"].nunique()
    if counts.empty:
        return "no trial"
    low, high = int(counts.min()), int(counts.max())
    return f"{high} trial{'s' * (high > 1)}" if low == high else f"{low} to {high} trials"


def unknowns() -> str:
    """What no paper at hand states, and where the suite leaves its sources on purpose."""
    named: dict[str, Unknown] = {f"CMKD: {name}": u for name, u in paper.CMKD.items()}
    named |= {
        name.lower().replace("_", " "): value
        for name, value in vars(paper).items()
        if isinstance(value, Unknown)
    }
    named |= {
        f"{method}: {field}, other pairs": u
        for method, fields in paper_methods.OTHER_PAIRS.items()
        for field, u in fields.items()
    }
    rows = [
        {"what": name, "our value": _value(u.value), "why": u.why, "varied by": u.ablation}
        for name, u in named.items()
    ]
    told = "The paper's full text could not be read: its loss here is our reading of its abstract."
    shown = frame_table(pd.DataFrame(rows), "unknowns and our readings")
    return paragraphs([told]) + shown + element("h3", "Departures") + items(DEPARTURES)


def _value(value: object) -> str:
    return ", ".join(map(_part, value)) if isinstance(value, tuple) else str(value)


def _part(value: object) -> str:
    return ":".join(map(str, value)) if isinstance(value, tuple) else str(value)


def environment(found: tuple[GridResults, ...]) -> str:
    return "".join(
        element("h3", text(results.grid))
        + frame_table(environments(results), f"where {results.grid} ran")
        for results in found
    )


def again(evidence: Evidence) -> str:
    """The commands, by part: those of this file's runs, then of what it lacks."""
    profile, run = evidence.profile.name, [results.grid for results in evidence.grids]
    lines = list(FIRST)
    for results in evidence.grids:
        lines += [*trainings(results), command("tables", results), command("figures", results)]
    lines += [command(verb, *evidence.grids) for verb in ("report", "claims")]
    parts = {part for results in evidence.grids for part in results.parts}
    left = [grid for grid in GRIDS if grid not in {*run, *parts, "cifar", "demo"}]
    shown = element("pre", text("\n".join([*lines, *LAST])), tabindex="0")
    if not left:
        return shown
    rows = [
        {
            "grid": grid,
            "it decides": DECIDES[grid],
            "command": f"repro run {grid} --profile {profile}",
        }
        for grid in left
    ]
    missing = frame_table(pd.DataFrame(rows), "grids without finished runs")
    return shown + element("h3", "What this report lacks") + missing
