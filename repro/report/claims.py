"""The claims of a report: each with its verdict, its interval and what would decide it."""

import re
from collections import Counter
from collections.abc import Collection, Sequence

import pandas as pd

from repro.analysis.claim_table import carried_words, counts_words, flags, interval_words
from repro.analysis.judged import Judged, Part
from repro.analysis.verdict import Verdict
from repro.profiles import Profile
from repro.report.html import element, frame_table, items, prose, terms, text
from repro.report.plot import intervals

SCOPES = {"these": "these pairs", "general": "in general"}
ORDER = ("supported", "refuted", "inconclusive", "not run")
ENOUGH_TRIALS = 5  # of every rule, F7 included
MOST_TRIALS = 40  # that a command asks for: eight times the paper's five
TRIALS_TOLD = re.compile(r"(?:at least )?(\d+) trials")


def overview(claims: Sequence[Judged], failed: Sequence[str]) -> str:
    """How many claims have which verdict, a line each, and what must not be overlooked."""
    counts = Counter[str](judged.headline[0].label for judged in claims)
    told = ", ".join(f"{counts[label]} {label}" for label in ORDER if counts[label])
    lines = element("ol", *map(_line, claims), class_="overview")
    return (
        element("p", text(f"{len(claims)} claims: {told}."), class_="big")
        + lines
        + items(flags(claims, failed))
    )


def _line(judged: Judged) -> str:
    found, scope = judged.headline
    link = element("a", text(f"{judged.claim.name}. {judged.claim.text}"), href=_address(judged))
    said = f"{numbers(judged)}, {scope}" if found.label != "not run" else f"needs {judged.missing}"
    return element("li", badge(found), link, element("span", text(said), class_="soft"))


def _address(judged: Judged) -> str:
    return f"#claim-{judged.claim.name}"


def badge(found: Verdict) -> str:
    slug = found.label.replace(" ", "-")
    return element("strong", text(found.label), class_=f"badge {slug}")


def section(judged: Judged, profile: Profile, run: Collection[str] = (), options: str = "") -> str:
    """One claim, as an element that programs can read: ``id`` and ``data-verdict``.

    ``run``: the grids that have runs: these are to be completed first. ``options``: what commands
    on these runs need besides.
    """
    found, scope = judged.headline
    known = found.label != "not run"
    said = [carried_words(found), judged.effect.unit, scope] if known else []
    head = [element("h3", text(f"{judged.claim.name}. {judged.claim.text}"))]
    head.append(element("p", badge(found), element("span", text(", ".join(said))), class_="big"))
    return element(
        "article",
        *head,
        element("p", text(found.detail)) if found.detail else "",
        plot(judged),
        terms(facts(judged, how(judged, profile, run, options))),
        details(judged),
        class_=f"claim {judged.slug}",
        id=f"claim-{judged.claim.name}",
        data_verdict=judged.slug,
    )


def facts(judged: Judged, way: str) -> dict[str, str]:
    """What a reader asks of a verdict, in this order; only what there is an answer to.

    ``way``: ``how`` to decide it."""
    estimate, effect = judged.headline[0].estimate, judged.effect
    others = [f"{metric}: {words}" for metric, words in judged.under.items()]
    missing = f"{judged.missing}. {way}" if judged.missing else ""
    found = {
        "Estimated": judged.estimand,
        "n": f"{counts_words(estimate)} (rule {estimate.formula})",
        "Smallest effect of interest": f"D = {effect.value:g} {effect.unit}: {effect.why}",
        "To decide it": missing,
        "By other epochs": "; ".join(others),
        "Note": "; ".join(judged.notes),
    }
    return {name: said for name, said in found.items() if said}


def how(judged: Judged, profile: Profile, run: Collection[str], options: str = "") -> str:
    """The commands that bring what is missing; none where more trials bring nothing."""
    wanted = trials_wanted(judged, profile)
    if isinstance(wanted, str):
        return wanted
    fitting = [grid for grid in judged.grids if grid != "demo" or profile.name == "demo"]
    grids = [grid for grid in fitting if grid in run] or fitting
    trials = f" --trials {wanted}" if wanted > profile.trials else ""
    more = f" {options}" if options else ""
    commands = [f"`repro run {grid} --profile {profile.name}{trials}{more}`" for grid in grids]
    return f"{' or '.join(commands)}, then `make report`"


def trials_wanted(judged: Judged, profile: Profile) -> int | str:
    """How many in all, or in words why that is no way out."""
    found, _ = judged.headline
    if found.label == "not run":
        return max(profile.trials, ENOUGH_TRIALS)
    told = TRIALS_TOLD.match(judged.missing)  # the plan's own number: text and command agree
    if not told:
        return "More trials of these pairs do not decide it"
    trials = int(told[1])
    return trials if trials <= MOST_TRIALS else "So many trials are out of reach"


def numbers(judged: Judged) -> str:
    found, _ = judged.headline
    return f"{carried_words(found)} ({found.estimate.formula}, {counts_words(found.estimate)})"


def plot(judged: Judged) -> str:
    """The intervals on these pairs of every comparison with one."""
    rows = [(part.name, part.these.estimate) for part in (*judged.parts, *judged.alone)]
    drawing = intervals(rows, judged.effect.value, judged.effect.unit)
    if not drawing:
        return ""
    words = (
        f"Each comparison on these pairs, with its 95 % interval ({judged.effect.unit}). "
        "Solid line: no effect; dashed: D. Right of 0 is what the claim says."
    )
    return element("figure", drawing, element("figcaption", prose(words)))


def details(judged: Judged) -> str:
    """Every comparison in both scopes."""
    parts = (*judged.parts, *judged.alone)
    rows = [row(part, scope) for part in parts for scope in ("these", "general")]
    label = f"every comparison of {judged.claim.name}"
    table = frame_table(pd.DataFrame(rows), label)
    return element("details", element("summary", "every comparison"), table)


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
