"""The one rule from an interval to a verdict, for every claim, and how verdicts combine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from repro.analysis.estimates import Estimate
from repro.analysis.families import LEVEL, Adjusted, adjust, all_positive
from repro.errors import UserError

Label = Literal["not run", "refuted", "supported", "inconclusive"]

REVERSED = "reversed"
TOO_SMALL = "positive but below D"
NO_EFFECT = "no effect of size D"
EXCEPTIONS = "with exceptions"
DISAGREE = "the definitions disagree: more trials do not decide"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a comparison decides; ``effect`` is D, the smallest effect of interest.

    ``detail`` says how it was refuted or supported, or what a conjunction turned on. ``of`` names
    the comparison whose estimate it carries, where it is of several. ``hindrance``: why more trials
    would not decide it, where they would not.
    """

    label: Label
    detail: str = ""
    effect: float
    estimate: Estimate
    adjusted: Adjusted
    exceptions: tuple[str, ...] = ()
    of: str = ""
    hindrance: str = ""

    @property
    def words(self) -> str:
        return f"{self.label} ({self.detail})" if self.detail else self.label


def verdicts(family: Mapping[str, Estimate], *, effect: float) -> dict[str, Verdict]:
    """Of each comparison of a family, with L, U the 95 % interval after Holm.

    Not run: an arm is missing or has fewer than 3 trials. Refuted: U < D. Supported: L > 0 and not
    refuted. Else inconclusive. Supported at no effect and refuted at D are wrong 2.5 % of the time
    each; half an interval of D/2 or less leaves no room for inconclusive. Raises UserError unless
    D > 0.
    """
    if not effect > 0:
        raise UserError(f"the smallest effect of interest must be above 0, not {effect}")
    adjusted = adjust(family, effect)
    return {name: _one(family[name], adjusted[name], effect) for name in family}


def verdict(estimate: Estimate, *, effect: float, exceptions: Sequence[str] = ()) -> Verdict:
    """Of a comparison that is a family by itself; ``exceptions``: pairs that are reversed."""
    (found,) = verdicts({"": estimate}, effect=effect).values()
    return with_exceptions(found, exceptions)


def with_exceptions(found: Verdict, exceptions: Sequence[str]) -> Verdict:
    """What is supported on average, with the pairs where it is reversed (``reversed_cells``)."""
    if found.label != "supported" or not exceptions:
        return found
    return replace(found, detail=EXCEPTIONS, exceptions=tuple(exceptions))


def _one(estimate: Estimate, adjusted: Adjusted, effect: float) -> Verdict:
    label, detail = _rule(estimate, adjusted)
    return Verdict(label=label, detail=detail, effect=effect, estimate=estimate, adjusted=adjusted)


def _rule(estimate: Estimate, adjusted: Adjusted) -> tuple[Label, str]:
    if not estimate.is_run:
        return "not run", ""
    differs = adjusted.p_holm <= LEVEL
    if adjusted.p_effect_holm <= LEVEL / 2:
        if not differs:
            return "refuted", NO_EFFECT
        return "refuted", TOO_SMALL if estimate.estimate > 0 else REVERSED
    if differs and estimate.estimate > 0:
        return "supported", ""
    return "inconclusive", ""


def conjunction(family: Mapping[str, Estimate], *, effect: float) -> Verdict:
    """Better than every other. Supported: all unadjusted p; refuted: one comparison, by Holm.

    The verdict carries the comparison that it turns on: the refuted or missing one, else the least
    surely positive. Raises UserError for an empty family.
    """
    if not family:
        raise UserError("a conjunction needs at least one comparison")
    members = verdicts(family, effect=effect)
    for label in ("not run", "refuted"):
        names = [name for name, found in members.items() if found.label == label]
        if names:
            return replace(members[names[0]], detail=", ".join(names), of=names[0])
    weakest = _least_sure(members)
    label_of_all: Label = "supported" if all_positive(family.values()) else "inconclusive"
    return replace(weakest, label=label_of_all, detail="")


def _least_sure(outcomes: Mapping[str, Verdict]) -> Verdict:
    """Of outcomes that have run: the least surely refuted one, else the least surely positive."""

    def sureness(name: str) -> float:
        found = outcomes[name]
        if found.label == "refuted":
            return -found.adjusted.p_effect_holm
        return found.estimate.p_at_least(0.0)

    return _carried(outcomes, min(outcomes, key=sureness))


def _carried(outcomes: Mapping[str, Verdict], name: str) -> Verdict:
    found = outcomes[name]
    return replace(found, of=f"{name}, {found.of}" if found.of else name)


def agreed(outcomes: Mapping[str, Verdict]) -> Verdict:
    """Outcomes that must agree (two definitions, two metrics): their verdict, else inconclusive.

    Not run if any is. It carries the estimate of the least sure one: of an inconclusive one where
    there is one. Raises UserError without outcomes.
    """
    if not outcomes:
        raise UserError("nothing to agree: no outcome")
    by_label: dict[str, dict[str, Verdict]] = {}
    for name, one in outcomes.items():
        by_label.setdefault(one.label, {})[name] = one
    said = ", ".join(f"{name}: {one.label}" for name, one in outcomes.items())
    if missing := by_label.get("not run"):
        carried = _carried(missing, next(iter(missing)))
        return carried if len(by_label) == 1 else replace(carried, detail=said)
    if len(by_label) == 1:
        exceptions = list(dict.fromkeys(p for one in outcomes.values() for p in one.exceptions))
        return with_exceptions(_least_sure(outcomes), exceptions)
    carried = _least_sure(by_label.get("inconclusive", dict(outcomes)))
    conflict = {"supported", "refuted"} <= by_label.keys()
    hindrance = DISAGREE if conflict else ""
    return replace(carried, label="inconclusive", detail=said, hindrance=hindrance)


def unsupported(found: Verdict, reason: str) -> Verdict:
    """Inconclusive for a reason that more trials do not mend, where it would be supported."""
    if found.label != "supported":
        return found
    return replace(found, label="inconclusive", detail="supported but for runs", hindrance=reason)


def headline(these: Verdict, general: Verdict) -> tuple[Verdict, str]:
    """The verdict to quote and its scope in words: in general where there is one."""
    if general.label != "not run":
        return general, "in general"
    if these.estimate.scope == "these teachers":
        return these, "for these teachers"
    pairs = these.estimate.counts.pairs
    return these, f"on {'this pair' if pairs == 1 else f'these {pairs} pairs'}"
