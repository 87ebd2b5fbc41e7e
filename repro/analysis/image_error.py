"""What the draw of the test images adds to a claim about accuracy: no interval covers it.

Every run is tested on the same images, so it does not shrink with trials, and hardly with pairs.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from repro import paper
from repro.analysis.evidence import Evidence
from repro.analysis.judged import Judged
from repro.analysis.sensitivity import image_sampling_error
from repro.results import GridResults

Sides = tuple[Sequence[str], Sequence[str]]  # methods whose mean is compared with that of others


def with_image_error(found: Judged, evidence: Evidence) -> Judged:
    """With a note on the comparison that the headline shows, where it is one of C4, C5 and C6."""
    if found.headline[0].label == "not run" or found.claim.name not in ("C4", "C5", "C6"):
        return found
    error = image_error(evidence, found.grids, sides_of(found))
    if math.isnan(error):
        return found
    note = f"standard error by the draw of the test images, not in the interval: {error:.2g} points"
    return replace(found, notes=(*found.notes, note))


def sides_of(found: Judged) -> Sides:
    """Of the comparison that the headline shows."""
    of = found.headline[0].of
    if found.claim.name == "C6":
        methods = tuple(paper.PLUG_IN_METHODS.value)
        return tuple(f"{method}+cmkd" for method in methods), methods
    if found.claim.name == "C5":
        alone = f"cmkd/{of.removesuffix(' alone')}-only"
        return ("cmkd",), ("cmkd/fixed-half" if of == "fixed weights" else alone,)
    return ("cmkd",), (of,)


def image_error(evidence: Evidence, parts: Sequence[str], sides: Sides) -> float:
    """In points, of the mean over the pairs that have every method.

    NaN where there is none, or where a run's answers are not at hand.
    """
    first, second = [], []
    for pair in evidence.pairs(parts):
        results = next(
            found
            for found in evidence.grids
            if any(pair in found.parts.get(part, ()) for part in parts)
        )
        if not {method for side in sides for method in side} <= results.first_trials(pair).keys():
            continue
        one, other = (
            sum(_share(results, pair, method) for method in side) / len(side) for side in sides
        )
        first.append(one)
        second.append(other)
    if not first or any(np.isnan(share).any() for share in (*first, *second)):
        return math.nan
    return image_sampling_error(np.array(first), np.array(second))


def _share(results: GridResults, pair: str, method: str) -> NDArray[np.float64]:
    """[images]: in which share of a method's trials each was classified correctly; NaN if unknown.

    Recorded results have neither labels nor all the answers.
    """
    runs = [run for run in results.students(pair) if run.method == method]
    if results.recorded or not all(map(results.has_logits, runs)):
        return np.array(math.nan)
    correct = [results.test_logits(run).argmax(1) == results.test_labels for run in runs]
    return np.asarray(np.mean(correct, axis=0))
