"""Judged claims as a table: a line a claim to read, a row a comparison and scope to work with."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from repro.analysis.accuracy import PRIMARY_WORDS
from repro.analysis.estimates import Estimate
from repro.analysis.formats import table_files
from repro.analysis.judged import Judged, Part, detectable_words
from repro.analysis.planning import detectable
from repro.analysis.tables import MISSING, counted
from repro.analysis.verdict import Verdict

LEGEND = (
    "Estimate [95 % interval], the rule that it is by, what it is of. D: the smallest effect of "
    "interest, fixed before the runs; finds: the smallest that these runs find in four of five "
    "repetitions. Refuted: the interval lies below D. Supported: above 0 (and "
    "not below D); in a family of comparisons by Holm, while the interval is of the one. Teachers "
    "and test images are fixed: no interval covers them.",
    f"Top-1 is the {PRIMARY_WORDS}; the CSV has every comparison, both scopes, p-values, and the "
    "verdicts under the last and the best epoch.",
)


def interval_words(found: Estimate, digits: int = 3) -> str:
    """Such as ``+0.42 [+0.10, +0.74]``; "-" where there is none."""
    if math.isnan(found.estimate):
        return MISSING
    if math.isnan(found.standard_error):
        return f"{found.estimate:+.{digits}g}"
    return f"{found.estimate:+.{digits}g} [{found.low:+.{digits}g}, {found.high:+.{digits}g}]"


def carried_words(found: Verdict) -> str:
    """The interval with the name of the comparison that it is of, where there are several."""
    words = interval_words(found.estimate)
    return f"{found.of}: {words}" if found.of and words != MISSING else words


def counts_words(found: Estimate) -> str:
    counts = found.counts
    if not counts.trials:
        return "nothing run"
    return f"{counted(counts.pairs, 'pair')}, {counted(counts.trials, 'trial')}"


def short(claims: Iterable[Judged]) -> pd.DataFrame:
    """A line a claim: its verdict, of what, the estimate it turns on, and what would decide it."""
    rows = []
    for judged in claims:
        found, scope = judged.headline
        rows.append(
            {
                "claim": f"{judged.claim.name} {judged.claim.text}",
                "verdict": found.words,
                "scope": scope if found.label != "not run" else MISSING,
                "estimate": carried_words(found),
                "rule": found.estimate.formula,
                "n": counts_words(found.estimate),
                "D": f"{judged.effect.value:g} {judged.effect.unit}",
                "finds": detectable_words(found) if found.estimate.is_run else MISSING,
                "missing": judged.missing or MISSING,
            }
        )
    return pd.DataFrame(rows)


def long(claims: Iterable[Judged], profile: str) -> pd.DataFrame:
    """A row a (claim, comparison, scope); the claim's own verdict is the comparison "all"."""
    rows = []
    for judged in claims:
        whole = Part(
            name="all",
            words=judged.estimand,
            these=judged.these,
            general=judged.general,
            notes=(*judged.notes, *_under(judged)),
        )
        for part in (whole, *judged.parts, *judged.alone):
            first = {"claim": judged.claim.name, "comparison": part.name}
            last = {"profile": profile, "words": part.words, "notes": "; ".join(part.notes)}
            for scope, found in (("these", part.these), ("general", part.general)):
                rows.append(first | {"scope": scope} | _numbers(found) | last)
    return pd.DataFrame(rows)


def _under(judged: Judged) -> list[str]:
    return [f"{metric}: {words}" for metric, words in judged.under.items()]


def _numbers(found: Verdict) -> dict[str, Any]:
    estimate, adjusted = found.estimate, found.adjusted
    prediction = estimate.prediction
    return {
        "verdict": found.label,
        "detail": found.detail,
        "exceptions": found.exceptions,
        "estimate_of": found.of,
        "estimate": estimate.estimate,
        "low95": estimate.low,
        "high95": estimate.high,
        "df": estimate.df,
        "rule": estimate.formula,
        "effect": found.effect,
        "p": adjusted.p,
        "p_holm": adjusted.p_holm,
        "p_effect_holm": adjusted.p_effect_holm,
        "family": adjusted.size,
        "pairs": estimate.counts.pairs,
        "students": estimate.counts.students,
        "trials": estimate.counts.trials,
        "runs": estimate.counts.runs,
        "not_run": estimate.counts.missing,
        "tau": estimate.tau,
        "prediction_low": prediction[0],
        "prediction_high": prediction[1],
        "detectable": detectable(estimate, comparisons=adjusted.size),
    }


def flags(claims: Iterable[Judged], failed: Sequence[str] = ()) -> list[str]:
    """What a reader must not overlook: other metrics that say otherwise, runs that failed.

    ``failed``: lines, such as ``Evidence.failed``.
    """
    lines = []
    for judged in claims:
        own = judged.headline[0].words
        other = [f"{metric}: {words}" for metric, words in judged.under.items() if words != own]
        if other:
            lines.append(f"{judged.claim.name} depends on the epoch: {own}, but {', '.join(other)}")
        if judged.headline[0].exceptions:
            pairs = ", ".join(judged.headline[0].exceptions)
            lines.append(f"{judged.claim.name} is reversed on {pairs}")
        if judged.headline[0].label == "inconclusive":
            found = judged.headline[0]
            of = f" ({found.of})" if found.of else ""
            least = detectable_words(found)
            lines.append(f"{judged.claim.name}{of}: these runs find an effect of {least} or more")
        if judged.claim.name == "C1":  # the slopes of which it is the difference, and the ends
            lines += [f"C1, {part.name}: {note}" for part in judged.parts for note in part.notes]
    return [*lines, *failed]


def claim_files(
    claims: Sequence[Judged], profile: str, marks: Sequence[str], failed: Sequence[str] = ()
) -> dict[str, str]:
    """By file suffix: a line a claim to read, ``.csv`` all numbers."""
    lines = (*marks, *flags(claims, failed), *LEGEND)
    return table_files(short(claims), long(claims, profile), "The paper's claims", lines=lines)
