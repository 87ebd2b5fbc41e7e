"""The claims of a report: each with its verdict, its interval and what would decide it."""

from collections.abc import Sequence

import pandas as pd

from repro.analysis.claim_table import counts_words, flags, interval_words, short
from repro.analysis.judged import Judged, Part
from repro.report.html import element, intervals, items, paragraphs, table, text

SCOPES = {"these": "these pairs", "general": "in general"}


def overview(claims: Sequence[Judged], failed: Sequence[str]) -> str:
    """The table of all claims, each name a link, and what must not be overlooked."""
    frame = short(claims)
    places = {(i, 0): f"#claim-{judged.claim.name}" for i, judged in enumerate(claims)}
    return table(frame, links=places) + items(flags(claims, failed))


def section(judged: Judged) -> str:
    """One claim, as an element that programs can read: ``id`` and ``data-verdict``."""
    found, scope = judged.headline
    badge = element("span", text(found.label), class_=f"badge {judged.slug}")
    of = f", {scope}" if found.label != "not run" else ""
    detail = f": {found.detail}" if found.detail else ""
    effect = f"D = {judged.effect.value:g} {judged.effect.unit} ({judged.effect.why})"
    lines = [f"Estimand: {judged.estimand}.", f"Smallest effect of interest: {effect}."]
    if judged.missing:
        lines.append(f"To decide it: {judged.missing}.")
    lines += [f"By {metric}: {words}." for metric, words in judged.under.items()]
    lines += [f"{note[0].upper()}{note[1:]}." for note in judged.notes]
    return element(
        "section",
        element("h3", text(f"{judged.claim.name}. {judged.claim.text}")),
        element("p", badge, text(f"{of}{detail}"), class_="big"),
        element("p", text(numbers(judged)), class_="big") if found.label != "not run" else "",
        plot(judged),
        paragraphs(lines),
        details(judged),
        class_="claim",
        id=f"claim-{judged.claim.name}",
        data_verdict=judged.slug,
    )


def numbers(judged: Judged) -> str:
    estimate = judged.headline[0].estimate
    return f"{interval_words(estimate)} ({estimate.formula}, {counts_words(estimate)})"


def plot(judged: Judged) -> str:
    """The intervals on these pairs of every comparison with one."""
    rows = [(part.name, part.these.estimate) for part in (*judged.parts, *judged.alone)]
    return intervals(rows, judged.effect.value)


def details(judged: Judged) -> str:
    """Every comparison in both scopes."""
    rows = [
        row(part, scope)
        for part in (*judged.parts, *judged.alone)
        for scope in ("these", "general")
    ]
    summary = element("summary", "every comparison")
    return element("details", summary, table(pd.DataFrame(rows)))


def row(part: Part, scope: str) -> dict[str, object]:
    found = part.these if scope == "these" else part.general
    low, high = found.estimate.prediction
    return {
        "comparison": part.words,
        "scope": SCOPES[scope],
        "verdict": found.words,
        "estimate [95 %]": interval_words(found.estimate),
        "rule": found.estimate.formula,
        "df": found.estimate.df,
        "p": p_words(found.adjusted.p),
        "Holm": p_words(found.adjusted.p_holm),
        "k": found.adjusted.size,
        "n": counts_words(found.estimate),
        "tau": found.estimate.tau,
        "new pair [95 %]": f"{low:+.3g} to {high:+.3g}" if low == low else "",
        "notes": "; ".join(part.notes) if scope == "these" else "",
    }


def p_words(p: float) -> str:
    return "" if p != p else f"{p:.2g}"
