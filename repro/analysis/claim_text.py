"""A judged claim as a block of lines: all that a reader needs to weigh it, in both scopes."""

import math

from repro.analysis.accuracy import PRIMARY_WORDS
from repro.analysis.claim_table import counts_words, interval_words
from repro.analysis.judged import Judged, Part, detectable_words
from repro.analysis.verdict import Verdict

INDENT = "   "
SCOPES = {"these": "these pairs", "general": "in general"}
METRICS = {"top1_last": "last epoch", "top1_best": "best epoch"}
FIXED = "teachers and test set fixed: no interval covers them"


def lines(judged: Judged, *, diverged: int = 0) -> list[str]:
    """What was asked and found, a line each; ``diverged``: runs of these grids that did."""
    said = [
        f"estimated: {judged.estimand}",
        _both(judged),
        *(_scope(judged, name) for name in SCOPES),
        _spread(judged),
        _finds(judged),
        _metrics(judged),
        _left_out(judged, diverged),
        f"to decide it: {judged.missing}" if judged.missing else "",
    ]
    return [_head(judged), *(INDENT + line for line in said if line)]


def short(judged: Judged) -> list[str]:
    """The verdict to quote, its numbers and what would decide it: two or three lines."""
    found, scope = judged.headline
    said = [_head(judged)]
    if found.label != "not run":
        rule = f"({found.estimate.formula}, {counts_words(found.estimate)})"
        numbers = f"{interval_words(found.estimate)} {rule}"
        said.append(f"{INDENT}{scope}: {numbers}, D = {judged.effect.value:g}")
    return [*said, *([f"{INDENT}to decide it: {judged.missing}"] if judged.missing else [])]


def _head(judged: Judged) -> str:
    return f"{judged.claim.name} {judged.headline[0].words.upper()}: {judged.claim.text}"


def _both(judged: Judged) -> str:
    verdicts = [f"{words}: {getattr(judged, name).words}" for name, words in SCOPES.items()]
    return f"{'; '.join(verdicts)}; D = {judged.effect.value:g} {judged.effect.unit}"


def _scope(judged: Judged, name: str) -> str:
    """The numbers of a scope, and the comparison that they are of; empty without an estimate."""
    found: Verdict = getattr(judged, name)
    estimate, adjusted, counts = found.estimate, found.adjusted, found.estimate.counts
    if math.isnan(estimate.estimate):
        return ""
    said = [f"{interval_words(estimate)} ({estimate.formula}, df {_number(estimate.df)})"]
    said.append(f"p {_number(adjusted.p)}, Holm {_number(adjusted.p_holm)} of k = {adjusted.size}")
    said.append(f"P {counts.pairs}, S {counts.students}, T {counts.trials}, {counts.runs} runs")
    if not math.isnan(estimate.tau):
        low, high = estimate.prediction
        said.append(f"tau {_number(estimate.tau)}, a new pair {low:+.3g} to {high:+.3g}")
    return f"{SCOPES[name]}{_turns_on(judged, name)}: {'; '.join(said)}"


def turning(judged: Judged, name: str) -> Part | None:
    """The comparison whose numbers are the claim's in a scope."""
    own = getattr(judged, name).estimate
    parts = (part for part in judged.parts if getattr(part, name).estimate is own)
    return next(parts, None)


def _turns_on(judged: Judged, name: str) -> str:
    part = turning(judged, name)
    return f", turning on {part.name}" if part and len(judged.parts) > 1 else ""


def _spread(judged: Judged) -> str:
    """Pairs in favour, one pair left out, spread of trials: of what the headline turns on."""
    name = "these" if judged.headline[0] is judged.these else "general"
    part = turning(judged, name)
    found = [*(part.notes if part else ()), *judged.notes]
    first = f"{part.name}: " if part and part.notes and len(judged.parts) > 1 else ""
    return first + "; ".join(found)


def _finds(judged: Judged) -> str:
    """The effects that these runs find four times in five."""
    known = {words: getattr(judged, name) for name, words in SCOPES.items()}
    least = [
        f"{detectable_words(found)} {words}"
        for words, found in known.items()
        if not math.isnan(found.estimate.standard_error)
    ]
    return f"finds with 80 % power: {', '.join(least)}" if least else ""


def _metrics(judged: Judged) -> str:
    """Of claims about accuracy; another verdict under another metric is flagged."""
    own = judged.headline[0].words
    others = [
        f"{METRICS.get(name, name)}: {words}{'' if words == own else ' (DIFFERS)'}"
        for name, words in judged.under.items()
    ]
    return f"metric: {PRIMARY_WORDS}; {'; '.join(others)}" if others else ""


def _left_out(judged: Judged, diverged: int) -> str:
    missing = judged.these.estimate.counts.missing
    return (
        f"pairs left out for want of trials: {', '.join(missing) or 'none'}; "
        f"diverged runs: {diverged or 'none'}; {FIXED}"
    )


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"
