"""Claims C2, C3 and C7, of what was measured of networks, on made-up trials as the others."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest

from repro.analysis import measured
from repro.analysis.claim_table import short
from repro.analysis.network_claims import BOUNDARY, FORMS
from tests.analysis.made_evidence import STUDENTS, TRIALS, Made, judge, noise, whole


def relations(kd: dict[str, float], cmkd: float) -> Made:
    rows = [
        {
            "pair": p,
            "method": m,
            "trial": t,
            "form": form,
            "mean": value * np.exp(noise(7 * t + i)[0]),
        }
        for i, p in enumerate(STUDENTS)
        for form, distance in kd.items()
        for m, value in (("kd", distance), ("cmkd", cmkd))
        for t in range(TRIALS)
    ]
    trials = dict.fromkeys(STUDENTS, pd.DataFrame())
    return Made(trials, frames={measured.relations_of: pd.DataFrame(rows)})


def test_c2_is_the_log_ratio_of_distances() -> None:
    found = judge(2, relations(dict.fromkeys(FORMS, 2.0), 1.0))
    assert found.slug == "supported"
    for part in found.parts:
        assert part.these.estimate.estimate == pytest.approx(np.log(2), abs=0.05)


def test_c2_is_inconclusive_where_definitions_disagree() -> None:
    found = judge(2, relations(dict.fromkeys(FORMS, 2.0) | {"raw": 0.5}, 1.0))
    assert found.slug == "inconclusive"
    assert "raw: refuted" in found.these.detail
    assert found.missing == "the definitions disagree: more trials do not decide"
    assert short([found])["estimate"][0].startswith("raw: -")


def test_a_claim_about_networks_is_not_supported_where_one_of_them_diverged() -> None:
    evidence = relations(dict.fromkeys(FORMS, 2.0), 1.0)
    evidence.failed = ("a:s1 ttm trial 0",)
    assert whole(2, evidence).slug == "supported"
    evidence.failed = ("a:s1 kd trial 5",)
    found = whole(2, evidence)
    assert found.slug == "inconclusive"
    assert "cannot be measured: a:s1 kd trial 5" in found.missing
    evidence = relations(dict.fromkeys(FORMS, 1.0), 2.0)
    evidence.failed = ("a:s1 kd trial 5",)
    assert whole(2, evidence).slug == "refuted"


def planes(kd: float, cmkd: float, trials: int = TRIALS, more: Mapping[str, float] = {}) -> Made:
    """One pair, and ``more`` by name with CMKD's value."""
    random = np.random.default_rng(0)
    shared = random.normal(0, 0.5, 20)
    rows = [
        {"pair": pair, "method": m, "trial": t, "triplet": j}
        | {n: mean + shared[j] + random.normal(0, 0.1) for n in BOUNDARY}
        for pair, own in ({"a:s": cmkd} | dict(more)).items()
        for m, mean in (("kd", kd), ("cmkd", own))
        for t in range(trials)
        for j in range(20)
    ]
    pairs = dict.fromkeys(("a:s", *more), pd.DataFrame())
    return Made(pairs, frames={measured.planes_of: pd.DataFrame(rows)})


def test_c3_is_a_share_of_kds_value() -> None:
    found = judge(3, planes(10.0, 8.0))
    assert found.slug == "supported"
    assert found.these.estimate.estimate == pytest.approx(0.2, abs=0.01)
    assert found.these.estimate.formula == "F7"


def test_c3_needs_five_trials() -> None:
    assert judge(3, planes(10.0, 8.0, trials=4)).slug == "not-run"


def test_c3_names_the_pairs_where_it_is_reversed() -> None:
    found = judge(3, planes(10.0, 8.0, more={"a:s2": 8.0, "a:s3": 8.0, "a:s4": 11.0}))
    assert found.these.words == "supported (with exceptions)"
    assert found.these.exceptions == ("a:s4",)
    for part in found.parts:
        positive, one_left_out = part.notes
        assert positive == "positive in 3 of 4 pairs"
        low, high = (float(n) for n in one_left_out.partition("left out ")[2].split(" to "))
        assert low < part.these.estimate.low < high == pytest.approx(0.2, abs=0.02)


def corrupted(kd: tuple[float, float], cmkd: tuple[float, float]) -> Made:
    """(clean, corrupted) top-1 of both."""
    rows = []
    for i, pair in enumerate(STUDENTS):
        for method, (clean, other) in (("kd", kd), ("cmkd", cmkd)):
            for t in range(TRIALS):
                base = {"pair": pair, "method": method, "trial": t}
                shift = noise(10 * i + t)[0]
                rows.append(base | {"corruption": "clean", "severity": 0, "top1": clean + shift})
                rows += [
                    base | {"corruption": "noise", "severity": s, "top1": other + shift + 3 - s}
                    for s in range(1, 6)
                ]
    frame = pd.DataFrame(rows)
    return Made(dict.fromkeys(STUDENTS, pd.DataFrame()), frames={measured.corruption_of: frame})


def test_c7_needs_accuracy_and_drop_to_agree() -> None:
    assert judge(7, corrupted((60, 40), (60, 45))).slug == "supported"
    found = judge(7, corrupted((60, 40), (70, 45)))  # more accurate throughout, but drops more
    assert found.slug == "inconclusive"
    labels = {part.name: part.these.label for part in found.parts}
    assert labels == {"corrupted top-1": "supported", "drop": "refuted"}
