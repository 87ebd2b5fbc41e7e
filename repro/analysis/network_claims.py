"""Claims C2, C3 and C7, each of something measured of finished networks.

C2 and C7 measure every method of the grids: F1's residual is that of all of them.
"""

import math

import pandas as pd

from repro import paper
from repro.analysis import measured
from repro.analysis.estimates import Pairs
from repro.analysis.evidence import ACCURACY, Evidence, by_pair, log_of
from repro.analysis.families import reversed_cells
from repro.analysis.judged import Compared, Judged, all_agree, compared, judged, parts_of
from repro.analysis.plane_estimates import MIN_PLANE_TRIALS, planes, planes_in_general
from repro.analysis.sensitivity import lows_without_one
from repro.analysis.tables import counted

FORMS = ("raw", "zscored", "correlation", "probabilities")  # definitions of a distance, C2
ARMS = ("kd", "cmkd")
BOUNDARY = ("fragmentation", "ambiguity")


def inter_class_relations(evidence: Evidence, metric: str) -> Judged:  # noqa: ARG001
    """C2: log of KD's distance to the teacher over CMKD's, in four definitions that must agree."""
    pairs = evidence.pairs(ACCURACY)
    frame = evidence.measured(measured.relations_of, pairs, _methods(evidence))
    family = {}
    for form in FORMS:
        rows = frame if frame.empty else frame[frame["form"] == form]
        family[form] = compared(log_of(by_pair(rows, "mean", pairs)), ("kd", "cmkd"))
    parts = parts_of(family, paper.EFFECTS["C2"].value, "log(distance of KD / of CMKD), {}")
    return judged(
        "C2",
        "log of KD's over CMKD's mean off-diagonal distance of inter-class relations to the "
        "teacher's; all definitions must agree",
        parts=parts,
        verdicts=all_agree(parts),
        grids=ACCURACY,
        arms=ARMS,
    )


def decision_boundaries(evidence: Evidence, metric: str) -> Judged:  # noqa: ARG001
    """C3: F7 on (KD - CMKD) / mean of KD, on the same planes; both numbers must agree."""
    pairs = evidence.pairs(ACCURACY)
    frame = evidence.measured(measured.planes_of, pairs, ARMS)
    family = {}
    for number in BOUNDARY:
        known = () if frame.empty else pairs
        tables = {pair: _plane_differences(frame, pair, number) for pair in known}
        family[number] = _planes_compared({p: table for p, table in tables.items() if table.size})
    parts = parts_of(family, paper.EFFECTS["C3"].value, "(KD - CMKD) / KD, {}")
    return judged(
        "C3",
        "fragmentation and ambiguity of KD's decision regions less CMKD's, as shares of KD's mean, "
        "on the same planes through three test images; the trial is the unit; both must agree",
        parts=parts,
        verdicts=all_agree(parts),
        grids=ACCURACY,
        arms=ARMS,
        needs=f"{MIN_PLANE_TRIALS} trials or more of both arms",
        notes=("needs 5 trials: the rule errs more often with fewer",),
    )


def _planes_compared(tables: Pairs) -> Compared:
    """F7 with what stands beside it: pairs that are reversed, in favour, and one left out."""
    cells = {pair: planes({pair: table}) for pair, table in tables.items()}
    run = {pair: tables[pair] for pair, found in cells.items() if found.is_run}
    notes = []
    if run:
        positive = sum(cells[pair].estimate > 0 for pair in run)
        notes.append(f"positive in {positive} of {counted(len(run), 'pair')}")
    for words, rule in (("lower bound", planes), ("its lower bound in general", planes_in_general)):
        low, high = lows_without_one(run, rule)
        if not math.isnan(low):
            notes.append(f"{words} with one pair left out {low:+.3g} to {high:+.3g}")
    return Compared(planes(tables), planes_in_general(tables), reversed_cells(cells), tuple(notes))


def _plane_differences(frame: pd.DataFrame, pair: str, number: str) -> pd.DataFrame:
    """[trials, planes], of the trials that both methods have, as shares of KD's mean."""
    kd, cmkd = (
        frame[(frame["pair"] == pair) & (frame["method"] == method)].pivot_table(
            index="trial", columns="triplet", values=number
        )
        for method in ("kd", "cmkd")
    )
    both = kd.index.intersection(cmkd.index)
    kd, cmkd = kd.loc[both], cmkd.loc[both]
    mean = float(kd.to_numpy().mean()) if kd.size else 0.0
    return (kd - cmkd) / mean if mean else pd.DataFrame()


def robustness(evidence: Evidence, metric: str) -> Judged:  # noqa: ARG001
    """C7: corrupted top-1 of CMKD - KD, and KD's drop - CMKD's; both must agree."""
    pairs = evidence.pairs(ACCURACY)
    frame = evidence.measured(measured.corruption_of, pairs, _methods(evidence))
    corrupted, drop = (frame, frame) if frame.empty else _corrupted(frame)
    family = {
        "corrupted top-1": compared(by_pair(corrupted, "top1", pairs), ("cmkd", "kd")),
        "drop": compared(by_pair(drop, "top1", pairs), ("kd", "cmkd")),
    }
    parts = parts_of(family, paper.EFFECTS["C7"].value, "CMKD against KD: {}")
    return judged(
        "C7",
        "mean top-1 (points) over corruptions and strengths, CMKD less KD, and KD's drop from "
        "clean images less CMKD's; both must agree",
        parts=parts,
        verdicts=all_agree(parts),
        grids=ACCURACY,
        arms=ARMS,
        notes=("how the paper tests it is unknown",),
    )


def _methods(evidence: Evidence) -> set[str]:
    """Those of the grids that were run; the arms even where they were not."""
    return evidence.methods(ACCURACY) | {*ARMS}


def _corrupted(frame: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """pair, method, trial, top1: the mean over corruptions and strengths; clean less that."""
    cells = ["pair", "method", "trial"]
    clean = frame["corruption"] == "clean"
    corrupted = frame[~clean].groupby(cells)["top1"].mean()
    drop = frame[clean].set_index(cells)["top1"] - corrupted
    return corrupted.reset_index(), drop.reset_index()
