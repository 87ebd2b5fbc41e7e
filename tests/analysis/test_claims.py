"""Each claim's estimand, on made-up trials whose answer is known by construction."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from repro import paper
from repro.analysis.claim_table import claim_files, flags, long, short
from repro.analysis.claims import beats_all
from repro.analysis.judged import compared
from repro.analysis.planning import needed
from repro.profiles import PROFILES
from repro.report.claims import section
from tests.analysis.made_evidence import STUDENTS, TRIALS, Made, judge, made, on_all


@pytest.mark.parametrize("number", range(1, 8))
def test_without_runs_a_claim_is_not_run_and_says_what_is_missing(number: int) -> None:
    found = judge(number, Made())
    assert found.slug == "not-run"
    assert found.claim == paper.CLAIMS[number - 1]
    assert ("5" if number == 3 else "3") + " trials or more" in found.missing
    assert ("teacher" in found.missing.partition(" in grid ")[0]) == (number == 1)
    assert any(grid in found.missing for grid in found.grids)


@pytest.mark.parametrize(
    ("cmkd", "label", "detail"),
    [(71.0, "supported", ""), (70.05, "refuted", "dist"), (69.0, "refuted", "dist")],
)
def test_c4_is_better_than_every_logit_method(cmkd: float, label: str, detail: str) -> None:
    evidence = on_all({"kd": 68.0, "dkd": 68.0, "dist": 70.0, "ce": 60.0, "cmkd": cmkd})
    found = judge(4, evidence)
    assert (found.these.label, found.general.label) == (label, label)
    assert detail in found.these.detail
    assert found.headline[1] == "in general"
    assert [part.name for part in found.parts] == ["kd", "dkd", "dist"]
    assert found.effect.value == 0.2
    for part in found.parts:
        assert part.these.adjusted.size == 3  # Holm over the comparators


def test_c4_counts_its_cells_after_holm_over_all_of_them() -> None:
    better = {"kd": 68.0, "dkd": 68.0, "dist": 70.0, "cmkd": 71.0}
    trials = {pair: made(better, 100 * i) for i, pair in enumerate(STUDENTS)}
    trials["a:s1"] = made(better | {"dist": 72.0, "kd": 70.95}, 1)
    (note,) = judge(4, Made(trials)).notes
    assert note.startswith("Holm over all cells: CMKD more accurate in 16 of 18 ")
    assert note.endswith("refuted in 2 at D = 0.3")
    assert judge(4, Made({"a:s1": trials["a:s1"]})).notes == ()


def test_beside_new_pairs_stand_pairs_as_units_and_one_left_out() -> None:
    """By hand: SciPy's t interval of the six pair means; the lowest bound of five of them."""
    gains = (1.0, 1.2, 1.4, 1.6, 1.8, 3.0)
    students = {
        pair: pd.DataFrame({"kd": [60.0, 61, 62], "cmkd": np.array([60.0, 61, 62]) + gain})
        for pair, gain in zip(STUDENTS, gains, strict=True)
    }
    notes = compared(students, ("cmkd", "kd")).notes
    low, high = stats.t.interval(0.95, 5, np.mean(gains), stats.sem(gains))
    beside = f"{np.mean(gains):+.3g} [{low:+.3g}, {high:+.3g}], 5 df"
    assert f"in general with pairs as the units {beside}" in notes
    lows = [
        stats.t.interval(0.95, 4, np.mean(left), stats.sem(left))[0]
        for left in (np.delete(gains, i) for i in range(6))
    ]
    words = f"{min(lows):+.3g} to {max(lows):+.3g}"
    assert f"its lower bound with one pair left out {words}" in notes


def test_c4_on_one_pair_takes_the_effect_of_a_cell() -> None:
    evidence = Made({"a:s": made({"kd": 68, "dkd": 68, "dist": 70, "cmkd": 71}, 1)})
    found = judge(4, evidence)
    assert found.effect == paper.EFFECTS["C4 cell"]
    assert found.general.label == "not run"
    assert (found.slug, found.headline[1]) == ("supported", "on this pair")


def test_a_comparator_that_was_not_run_leaves_c4_undecided() -> None:
    found = judge(4, on_all({"kd": 68.0, "dkd": 68.0, "cmkd": 71.0}))
    assert found.slug == "not-run"
    assert "dist" in found.missing


@pytest.mark.parametrize(("slope", "label"), [(0.5, "supported"), (0.0, "refuted")])
def test_c1_is_the_slope_of_the_gain_over_the_teachers_top1(slope: float, label: str) -> None:
    teachers = {f"t{i}": 70.0 + 2 * i for i in range(6)}
    trials = {
        f"{t}:s": made({"kd": 65.0, "cmkd": 66.0 + slope * (top1 - 70)}, 10 * i)
        for i, (t, top1) in enumerate(teachers.items())
    }
    other = {"t0:few": made({"kd": 0.0, "cmkd": 50.0}, 1)}  # one teacher: it must not mix in
    found = judge(1, Made(other | trials, teachers))
    assert found.these.label == found.general.label == label
    assert found.these.estimate.estimate == pytest.approx(slope, abs=0.02)
    assert [part.name for part in found.alone] == ["few"]
    told = [line for line in flags([found]) if line.startswith("C1, s: ")]
    assert [
        line.removeprefix("C1, s: ").rpartition(" [")[0].rpartition(" ")[0] for line in told
    ] == [
        "slope of cmkd",
        "slope of kd",
        "gain at the best less at the weakest teacher",
    ]


@pytest.mark.parametrize(
    ("plan", "decides"),
    [
        (("t0:wrn_16_2", "t0:resnet20", "t1:resnet20"), "wrn_16_2"),
        (("t0:s", "t0:few", "t1:few"), "few"),
    ],
)
def test_c1_is_decided_by_a_student_fixed_before_the_runs(plan: tuple[str, ...], decides: str):
    """Whatever runs there are: here none of it, and another student's of six teachers."""
    trials = {f"t{i}:many": made({"kd": 65.0, "cmkd": 66.0 + i}, 10 * i) for i in range(6)}
    evidence = Made(trials, {f"t{i}": 70.0 + i for i in range(6)}, plan=plan)
    found = judge(1, evidence)
    assert found.slug == "not-run"
    assert f"({decides})" in found.missing
    assert [part.name for part in found.alone] == ["many"]


def test_what_would_decide_a_claim_is_what_its_least_certain_part_needs() -> None:
    """C4 carries the least sure comparison; another one may need more trials."""
    trials = made({"cmkd": 70.0, "kd": 69.85, "dkd": 68.0, "dist": 69.85}, 1, trials=3)
    trials["dist"] += [-1.0, 0.5, 0.5]
    found = judge(4, Made({"a:s": trials}))
    assert found.slug == "inconclusive"
    needs = {
        part.name: needed(part.these.estimate, 0.3, comparisons=3)
        for part in found.parts
        if part.these.label == "inconclusive"
    }
    assert set(needs) == {"kd", "dist"}
    assert needs["kd"].trials < needs["dist"].trials
    assert found.missing == needs["dist"].words


def test_a_training_judged_by_its_last_epoch_has_no_other_verdict_for_it() -> None:
    means = {"kd": 68.0, "dkd": 68.0, "dist": 70.0, "cmkd": 71.0}
    assert [*judge(4, on_all(means)).under] == ["top1_last", "top1_best"]
    short = replace(on_all(means), profile=PROFILES["demo"])
    assert [*judge(4, short).under] == ["top1_best"]


def test_c5_needs_both_parts() -> None:
    means = {"cmkd": 70.0, "cmkd/fixed-half": 69.0, "cmkd/pearson-only": 69.0}
    good = judge(5, on_all(means | {"cmkd/spearman-only": 69.0}))
    assert good.slug == "supported"
    bad = judge(5, on_all(means | {"cmkd/spearman-only": 70.5}))
    assert bad.general.words == "refuted (spearman alone)"
    assert bad.these.words == "refuted (spearman alone)"


def test_c6_is_the_mean_gain_over_the_methods() -> None:
    methods = paper.PLUG_IN_METHODS.value
    gains = dict(zip(methods, (2.0, 1.0, 0.0, 1.0, 1.0), strict=True))
    means = dict.fromkeys(methods, 65.0) | {f"{m}+cmkd": 65.0 + gain for m, gain in gains.items()}
    found = judge(6, on_all(means))
    assert found.slug == "supported"
    assert found.these.estimate.estimate == pytest.approx(1.0, abs=0.05)
    each = {part.name: part.these.label for part in found.alone}
    assert each["kd"] == "supported"
    assert each[methods[2]] == "refuted"


@pytest.mark.parametrize("arm", ["{}", "{}+cmkd"])
def test_c6_leaves_out_a_trial_that_one_method_lacks(arm: str) -> None:
    """Its mean over the other methods would be that of other methods: here 12 points lower."""
    methods = paper.PLUG_IN_METHODS.value
    base = dict(zip(methods, (50.0, 60.0, 60.0, 60.0, 80.0), strict=True))
    trials = made(base | {f"{m}+cmkd": top1 + 1 for m, top1 in base.items()}, 1)
    trials.loc[2, arm.format(methods[-1])] = np.nan
    found = judge(6, Made({"a:s": trials}))
    assert found.these.estimate.counts.trials == TRIALS - 1
    assert found.these.estimate.estimate == pytest.approx(1.0, abs=0.1)


def test_the_tables_hold_every_comparison_in_both_scopes() -> None:
    found = [
        judge(n, on_all({"kd": 68.0, "dkd": 68.0, "dist": 70.0, "cmkd": 71.0})) for n in (4, 5)
    ]
    assert [one.slug for one in found] == ["supported", "not-run"]
    assert short(found)["estimate"].iloc[0].startswith("dist: +1")
    rows = long(found, "demo")
    own = rows[(rows["claim"] == "C4") & (rows["comparison"] != "all")]
    assert list(own["comparison"]) == ["kd", "kd", "dkd", "dkd", "dist", "dist"]
    assert list(own["scope"]) == ["these", "general"] * 3
    files = claim_files(found, "demo", ("a mark",), ("1 run diverged",))
    assert "- 1 run diverged" in files[".md"]
    assert "a mark" in files[".csv"]


def test_a_verdict_that_depends_on_the_epoch_is_flagged() -> None:
    found = judge(4, on_all({"kd": 68.0, "dkd": 68.0, "dist": 70.0, "cmkd": 71.0}))
    assert flags([found]) == []
    other = type(found)(**vars(found) | {"under": {"top1_best": "refuted"}})
    assert flags([other]) == ["C4 depends on the epoch: supported, but top1_best: refuted"]


@pytest.mark.parametrize("number", range(1, 8))
def test_a_claim_of_the_report_can_be_read_by_programs(number: int) -> None:
    html = section(judge(number, Made()), PROFILES["demo"])
    assert f'id="claim-C{number}"' in html
    assert 'data-verdict="not-run"' in html


def test_better_than_all_keeps_the_exceptions_of_every_comparison() -> None:
    pairs = {f"t{i}:s{i}": made({"cmkd": 71.0, "kd": 70.0, "dist": 70.0}, i) for i in range(5)}
    pairs["t5:s5"] = made({"cmkd": 69.0, "kd": 70.0, "dist": 68.0}, 5)
    family = {method: compared(pairs, ("cmkd", method)) for method in ("kd", "dist")}
    assert (family["kd"].exceptions, family["dist"].exceptions) == (("t5:s5",), ())
    these, _ = beats_all(family, 0.2)
    assert (these.label, these.exceptions) == ("supported", ("t5:s5",))


def test_a_pair_of_one_trial_does_not_change_the_effect_of_another() -> None:
    means = {"cmkd": 70.25, "kd": 70.0, "dist": 70.0}
    alone = {"t0:s0": made(means, 0)}
    both = alone | {"t1:s1": made(means, 1, trials=1)}
    found = [judge(4, Made(pairs)) for pairs in (alone, both)]
    assert found[0].effect == found[1].effect == paper.EFFECTS["C4 cell"]
