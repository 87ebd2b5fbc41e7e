"""Claims C1 to C7, each an estimand in code and words, judged by finished runs only.

The smallest effects of interest stand in ``paper.EFFECTS``, the rules in ``verdict``. Accuracy is
as ``accuracy.PRIMARY``; the verdicts under the last and the best epoch stand beside it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import lru_cache

import pandas as pd

from repro import paper
from repro.analysis.accuracy import METRICS, PRIMARY
from repro.analysis.estimates import Arms, Pairs, cell
from repro.analysis.evidence import ACCURACY, Evidence
from repro.analysis.image_error import with_image_error
from repro.analysis.judged import (
    Compared,
    Judged,
    Part,
    compared,
    interval,
    judged,
    parts_of,
)
from repro.analysis.network_claims import decision_boundaries, inter_class_relations, robustness
from repro.analysis.slopes import ends, method_slope, slope
from repro.analysis.verdict import Verdict, conjunction, unsupported, verdicts, with_exceptions
from repro.paper_methods import METHODS
from repro.results import GridResults
from repro.spec import tail_epochs

OF_ACCURACY = ("C1", "C4", "C5", "C6")
TEACHERS = ("stronger-teacher", "imagenet-stronger")
ABLATION, PLUG_IN = ("ablation",), ("plug-in",)
LOGIT_METHODS = tuple(
    name for name, method in METHODS.items() if method.kind == "logits" and name != "cmkd"
)


def judge(evidence: Evidence) -> list[Judged]:
    """Every claim, in order."""
    return list(_judge(tuple(evidence.grids), evidence.leaves_out_diverged))


@lru_cache(maxsize=1)  # a table of them is written, then MLflow told
def _judge(grids: tuple[GridResults, ...], leaves_out: bool) -> tuple[Judged, ...]:
    evidence = Evidence(grids, leaves_out)
    found = [under_other_metrics(claim, evidence) for claim in CLAIMS]
    told = [with_diverged(*both, evidence) for both in zip(found, CLAIMS, strict=True)]
    return tuple(with_image_error(one, evidence) for one in told)


def under_other_metrics(claim: Callable[[Evidence, str], Judged], evidence: Evidence) -> Judged:
    """With the headline under the other metrics, where the claim is one about accuracy."""
    found = claim(evidence, PRIMARY)
    if found.claim.name not in OF_ACCURACY:
        return found
    same = {PRIMARY, "top1_last"} if tail_epochs(evidence.profile.stream.epochs) == 1 else {PRIMARY}
    others = {m: claim(evidence, m).headline[0].words for m in METRICS if m not in same}
    return replace(found, under=others)


def with_diverged(
    found: Judged, claim: Callable[[Evidence, str], Judged], evidence: Evidence
) -> Judged:
    """Runs that diverged stay in: with what the claim would be without them.

    A network that diverged cannot be measured: a claim about networks is not supported then.
    """
    diverged = evidence.diverged(found.grids, found.arms)
    if not diverged:
        return found
    names = ", ".join(diverged)
    if found.claim.name in OF_ACCURACY:
        verdict, scope = claim(evidence.without_diverged, PRIMARY).headline
        numbers = f", {interval(verdict.estimate)} {scope}" if verdict.estimate.is_run else ""
        note = f"without the runs that diverged ({names}): {verdict.words}{numbers}"
        return replace(found, notes=(*found.notes, note))
    reason = f"networks that diverged cannot be measured: {names}"
    return replace(
        found,
        these=unsupported(found.these, reason),
        general=unsupported(found.general, reason),
        notes=(*found.notes, reason),
    )


def diminishing_returns(evidence: Evidence, metric: str) -> Judged:
    """C1: F6, the slope of CMKD - KD over the teacher's top-1, by student.

    Two students have different teachers, so their levels must not mix: one that was fixed before
    the runs decides, the others stand beside it (DEVIATION: the rule has their mean per teacher).
    """
    top1, columns = evidence.teacher_top1, dict[str, Pairs]()
    for pair, trials in evidence.top1(TEACHERS, metric, ("cmkd", "kd")).items():
        student = pair.partition(":")[2]
        columns[student] = {**columns.get(student, {}), pair: trials}
    chosen = _deciding_student(evidence.planned(_teachers(evidence)))
    own = _slope_part(chosen, columns.pop(chosen, {}), top1)
    return judged(
        "C1",
        f"slope of the gain of CMKD over KD (points) on the teacher's top-1 (points), of {chosen}",
        parts=(own,),
        verdicts=(own.these, own.general),
        grids=TEACHERS,
        arms=("cmkd", "kd"),
        needs="a finished teacher, and 3 trials or more of CMKD and KD under it, for 2 teachers or "
        "more (5 for new ones)",
        alone=tuple(_slope_part(student, pairs, top1) for student, pairs in columns.items()),
    )


def _teachers(evidence: Evidence) -> str:
    return TEACHERS[1] if evidence.profile.stream.dataset == "imagenet" else TEACHERS[0]


def _deciding_student(planned: Sequence[str]) -> str:
    """The paper's where the plan has it, else the one with the most teachers in the plan."""
    students = Counter(pair.partition(":")[2] for pair in planned)
    fixed = str(paper.STUDENT_OF_C1.value)
    if fixed in students or not students:
        return fixed
    return students.most_common(1)[0][0]


def _slope_part(student: str, pairs: Pairs, top1: dict[str, float]) -> Part:
    arms = ("cmkd", "kd")
    found = Compared(
        slope(pairs, arms, teacher_top1=top1, scope="these teachers"),
        slope(pairs, arms, teacher_top1=top1, scope="in general"),
        notes=tuple(_own_slopes(pairs, arms, top1)),
    )
    effect = paper.EFFECTS["C1"].value
    return parts_of({student: found}, effect, "slope of CMKD - KD, {}")[0]


def _own_slopes(pairs: Pairs, arms: Arms, top1: dict[str, float]) -> Iterable[str]:
    for method in arms:
        own = method_slope(pairs, method, teacher_top1=top1, scope="these teachers")
        if own.is_run:
            against = method == "kd" and own.low > 0
            words = ": a stronger teacher gives more, not less as the claim says" if against else ""
            yield f"slope of {method} {interval(own)}{words}"
    difference = ends(pairs, arms, teacher_top1=top1)
    if difference.is_run:
        yield f"gain at the best less at the weakest teacher {interval(difference)}"


def accuracy(evidence: Evidence, metric: str) -> Judged:
    """C4: CMKD - each logit method; supported if better than every one of them."""
    known = evidence.methods(ACCURACY) | {"kd", "dist"}  # the claim names these
    planned = [method for method in LOGIT_METHODS if method in known]
    arms = ("cmkd", *planned)
    pairs = evidence.top1(ACCURACY, metric, arms)
    family = {method: compared(pairs, ("cmkd", method)) for method in planned}
    used = max((found.these.counts.pairs for found in family.values()), default=0)
    effect = paper.EFFECTS["C4 cell" if used == 1 else "C4 pairs"]
    parts = parts_of(family, effect.value, "CMKD - {}")
    return judged(
        "C4",
        "top-1 (points) of CMKD less that of each logit method; better than every one of them",
        parts=parts,
        verdicts=beats_all(family, effect.value),
        grids=ACCURACY,
        arms=arms,
        notes=_cells_words(pairs, planned),
        effect=effect,
    )


def _cells_words(pairs: Pairs, methods: Sequence[str]) -> tuple[str, ...]:
    """In how many cells, a pair and a method, it is so: Holm over all of them."""
    cells = {
        f"{pair} {method}": cell(trials, ("cmkd", method))
        for pair, trials in pairs.items()
        for method in methods
    }
    found = verdicts(cells, effect=paper.EFFECTS["C4 cell"].value) if cells else {}
    labels = Counter(one.label for one in found.values())
    run = len(found) - labels["not run"]
    if len(pairs) < 2 or not run:
        return ()
    return (
        f"Holm over all cells: CMKD more accurate in {labels['supported']} of {run} (a pair and a "
        f"method), refuted in {labels['refuted']} at D = {paper.EFFECTS['C4 cell'].value:g}",
    )


def dynamic_weights(evidence: Evidence, metric: str) -> Judged:
    """C5: CMKD - fixed weights, and CMKD - either term alone: a conjunction of the three."""
    fewer = ("cmkd/pearson-only", "cmkd/spearman-only")
    arms = ("cmkd", "cmkd/fixed-half", *fewer)
    pairs, effect = evidence.top1(ABLATION, metric, arms), paper.EFFECTS["C5"].value
    fixed = {"fixed weights": compared(pairs, ("cmkd", "cmkd/fixed-half"))}
    single = {
        f"{row.partition('/')[2].removesuffix('-only')} alone": compared(pairs, ("cmkd", row))
        for row in fewer
    }
    (dynamic,) = parts_of(fixed, effect, "CMKD - {}")
    these, general = beats_all(single, effect)
    both = Part(name="both terms", words="CMKD - either term alone", these=these, general=general)
    return judged(
        "C5",
        "top-1 (points) of CMKD less the same with fixed equal weights, and less either term "
        "alone; all three must hold",
        parts=(dynamic, both),
        verdicts=beats_all(fixed | single, effect),
        grids=ABLATION,
        arms=arms,
        alone=parts_of(single, effect, "CMKD - {}"),
    )


def plug_in(evidence: Evidence, metric: str) -> Judged:
    """C6: (X + CMKD) - X on average over the methods X; each X beside it."""
    methods: tuple[str, ...] = paper.PLUG_IN_METHODS.value
    arms = (*methods, *(f"{method}+cmkd" for method in methods))
    pairs, effect = evidence.top1(PLUG_IN, metric, arms), paper.EFFECTS["C6"].value
    average = {
        pair: pd.DataFrame(
            {
                "with": trials[sums].mean(axis=1, skipna=False),
                "alone": trials[own].mean(axis=1, skipna=False),
            }
        )
        for pair, trials in pairs.items()
        if {*(own := list(methods)), *(sums := [f"{m}+cmkd" for m in methods])} <= {*trials}
    }
    parts = parts_of(
        {"all on average": compared(average, ("with", "alone"))}, effect, "with - without CMKD, {}"
    )
    each = {method: compared(pairs, (f"{method}+cmkd", method)) for method in methods}
    return judged(
        "C6",
        f"top-1 (points) with CMKD's terms less without, mean over {', '.join(methods)}",
        parts=parts,
        verdicts=(parts[0].these, parts[0].general),
        grids=PLUG_IN,
        arms=arms,
        alone=parts_of(each, effect, "{0} + CMKD - {0}"),
    )


def beats_all(family: dict[str, Compared], effect: float) -> tuple[Verdict, Verdict]:
    """The conjunction, on these pairs and in general, with the exceptions of all comparisons."""
    exceptions = list(dict.fromkeys(p for found in family.values() for p in found.exceptions))
    these = conjunction({name: found.these for name, found in family.items()}, effect=effect)
    general = conjunction({name: found.general for name, found in family.items()}, effect=effect)
    return with_exceptions(these, exceptions), with_exceptions(general, exceptions)


CLAIMS: tuple[Callable[[Evidence, str], Judged], ...] = (
    diminishing_returns,
    inter_class_relations,
    decision_boundaries,
    accuracy,
    dynamic_weights,
    plug_in,
    robustness,
)
