"""A claim with its verdicts: what was compared, on these pairs and in general."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from repro import paper
from repro.analysis.estimates import Arms, Estimate, Pairs, cell, in_general, these_pairs
from repro.analysis.families import reversed_cells
from repro.analysis.planning import detectable, needed
from repro.analysis.sensitivity import leave_one_out, positive_pairs, within_trials
from repro.analysis.tables import counted
from repro.analysis.verdict import Verdict, agreed, headline, verdicts, with_exceptions
from repro.paper import Claim, Effect


class Compared(NamedTuple):
    """One comparison: both estimates, the pairs where it is reversed, notes to print beside it."""

    these: Estimate
    general: Estimate
    exceptions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Part:
    """A comparison with its verdicts, those of its family after Holm. ``name``: such as "kd"."""

    name: str
    words: str
    these: Verdict
    general: Verdict
    notes: tuple[str, ...] = ()

    @property
    def headline(self) -> tuple[Verdict, str]:
        return headline(self.these, self.general)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """``estimand``: what is estimated, in words; ``grids``: whose runs decide it; ``alone``: parts
    that have a verdict of their own, with none in the claim's; ``arms``: the methods that it is
    about; ``needs``: the runs without which it is not run; ``under``: by other metric the
    headline in words; ``notes``: what the reader must know besides."""

    claim: Claim
    estimand: str
    effect: Effect
    grids: tuple[str, ...]
    parts: tuple[Part, ...]
    these: Verdict
    general: Verdict
    alone: tuple[Part, ...] = ()
    arms: tuple[str, ...] = ()
    needs: str = "3 trials or more of both arms"
    under: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def headline(self) -> tuple[Verdict, str]:
        """The verdict to quote, and of what: in general where there is one."""
        return headline(self.these, self.general)

    @property
    def slug(self) -> str:
        return self.headline[0].label.replace(" ", "-")

    @property
    def missing(self) -> str:
        """What would decide it, empty where it is decided."""
        found, _ = self.headline
        if found.label == "not run":
            names = ", ".join(part.name for part in self.parts if part.these.label == "not run")
            grids = ", ".join(self.grids)
            return f"{self.needs} ({names}) in grid {grids}"
        if found.label != "inconclusive":
            return ""
        if found.hindrance:
            return found.hindrance
        open_ = [found, *(one for one in self._parts_there if one.label == "inconclusive")]
        needs = (needed(o.estimate, o.effect, comparisons=o.adjusted.size) for o in open_)
        return max(needs, key=lambda need: need.trials).words

    @property
    def _parts_there(self) -> list[Verdict]:
        """The parts' verdicts in the headline's scope: each must be decided, or one refuted."""
        name = "these" if self.headline[0] is self.these else "general"
        return [getattr(part, name) for part in self.parts]


def judged(
    name: str,
    estimand: str,
    *,
    parts: tuple[Part, ...],
    verdicts: tuple[Verdict, Verdict],
    grids: tuple[str, ...],
    **more: Any,
) -> Judged:
    """A claim of the paper with what was found; ``more``: further fields of ``Judged``."""
    (claim,) = [claim for claim in paper.CLAIMS if claim.name == name]
    more.setdefault("effect", paper.EFFECTS.get(name))
    these, general = verdicts
    return Judged(
        claim=claim,
        estimand=estimand,
        grids=grids,
        parts=parts,
        these=these,
        general=general,
        **more,
    )


def interval(found: Estimate) -> str:
    return f"{found.estimate:+.3g} [{found.low:+.3g}, {found.high:+.3g}]"


def compared(pairs: Pairs, arms: Arms) -> Compared:
    """Two methods over pairs, each the mean of its trials (F1 or F2, and F3)."""
    these, general = these_pairs(pairs, arms), in_general(pairs, arms)
    cells = {pair: cell(trials, arms) for pair, trials in pairs.items()}
    notes = (*_notes(pairs, arms), *(_general_notes(pairs, arms) if general.is_run else ()))
    return Compared(these, general, reversed_cells(cells), notes)


def _general_notes(pairs: Pairs, arms: Arms) -> tuple[str, ...]:
    """What stands beside F3: pairs as the units, and each pair left out in turn."""
    by_pair = in_general(pairs, arms, by="pair")
    notes = [f"in general with pairs as the units {interval(by_pair)}, {by_pair.df:.0f} df"]
    low, high = leave_one_out(pairs, arms, rule=in_general)
    if not math.isnan(low):
        notes.append(f"its lower bound with one pair left out {low:+.3g} to {high:+.3g}")
    return tuple(notes)


def _notes(pairs: Pairs, arms: Arms) -> tuple[str, ...]:
    positive = positive_pairs(pairs, arms)
    if not positive.pairs:
        return ()
    notes = [f"positive in {positive.positive} of {counted(positive.pairs, 'pair')}"]
    low, high = leave_one_out(pairs, arms)
    if not math.isnan(low):
        notes.append(f"lower bound with one pair left out {low:+.3g} to {high:+.3g}")
    within = [within_trials(trials, arms) for trials in pairs.values()]
    known = [found for found in within if not math.isnan(found.residual)]
    if known:
        residual = sum(found.residual for found in known) / len(known)
        rho = [found.correlation for found in known if not math.isnan(found.correlation)]
        words = f", correlation within trials {sum(rho) / len(rho):.2f}" if rho else ""
        notes.append(f"residual mean square {residual:.3g}{words}")
    return tuple(notes)


def parts_of(family: Mapping[str, Compared], effect: float, words: str) -> tuple[Part, ...]:
    """A family's comparisons with their verdicts; ``words`` takes each one's name."""
    these = verdicts({name: found.these for name, found in family.items()}, effect=effect)
    general = verdicts({name: found.general for name, found in family.items()}, effect=effect)
    return tuple(
        Part(
            name=name,
            words=words.format(name),
            these=with_exceptions(these[name], found.exceptions),
            general=with_exceptions(general[name], found.exceptions),
            notes=found.notes,
        )
        for name, found in family.items()
    )


def all_agree(parts: tuple[Part, ...]) -> tuple[Verdict, Verdict]:
    """Where outcomes must agree: on these pairs, and in general."""
    return (
        agreed({part.name: part.these for part in parts}),
        agreed({part.name: part.general for part in parts}),
    )


def detectable_words(found: Verdict) -> str:
    """The smallest effect that these runs find four times in five."""
    return f"{detectable(found.estimate, comparisons=found.adjusted.size):.3g}"
