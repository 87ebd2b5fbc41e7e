"""Faults to plant in what turns accuracies into verdicts."""

from mutant_list import Mutant  # beside this file

EVIDENCE = (
    Mutant(
        "evidence: F1 trusts the common residual alone",
        "repro/analysis/rules.py",
        "spread = np.maximum(2 * mean_squares(table).residual, difference.var(-1, ddof=1))",
        "spread = 2 * mean_squares(table).residual",
        "tests/analysis/test_estimates.py -k noisier",
    ),
    Mutant(
        "evidence: F2 has the df of one pair",
        "repro/analysis/rules.py",
        "return Statistic(means.mean(-1), error, (counts - 1).sum(-1))",
        "return Statistic(means.mean(-1), error, (counts - 1).mean(-1))",
        "tests/analysis/test_rules.py -k stratified",
    ),
    Mutant(
        "evidence: pairs that share a student count as two",
        "repro/analysis/estimates.py",
        'if by == "student" and found.names:',
        'if by == "teacher" and found.names:',
        "tests/analysis/test_estimates.py -k 'counts_once'",
    ),
    Mutant(
        "evidence: four students are a sample",
        "repro/analysis/estimates.py",
        "MIN_UNITS = 5",
        "MIN_UNITS = 4",
        "tests/analysis/test_estimates.py -k four_students",
    ),
    Mutant(
        "evidence: planes are independent of trials",
        "repro/analysis/rules.py",
        "np.sqrt(np.maximum(total, rest) / (count * trials))",
        "np.sqrt(rest / (count * trials))",
        "tests/analysis/test_rules.py -k planes_by_hand",
    ),
    Mutant(
        "evidence: Holm forgets the steps before",
        "repro/analysis/families.py",
        "np.maximum.accumulate(steps, axis=-1)",
        "steps",
        "tests/analysis/test_families.py -k by_hand",
    ),
    Mutant(
        "evidence: refuted at the two-sided level",
        "repro/analysis/verdict.py",
        "adjusted.p_effect_holm <= LEVEL / 2",
        "adjusted.p_effect_holm <= LEVEL",
        "tests/analysis/test_verdict.py -k interval_lies",
    ),
    Mutant(
        "evidence: a conjunction is corrected too",
        "repro/analysis/families.py",
        "e.p <= LEVEL for e in found)",
        "e.p <= LEVEL / len(found) for e in found)",
        "tests/analysis/test_verdict.py -k better_than_all",
    ),
    Mutant(
        "evidence: two trials are enough for a verdict",
        "repro/analysis/estimates.py",
        "MIN_TRIALS = 3",
        "MIN_TRIALS = 2",
        "tests/analysis/test_verdict.py -k two_trials",
    ),
)
