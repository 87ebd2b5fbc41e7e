"""Faults to plant in what is committed of results, taken in again and told of them."""

from mutant_list import Mutant

RECORDED = (
    Mutant(
        "recorded: another training of a run is recorded beside the first",
        "repro/recordable.py",
        "        _check_same(own, known, other)\n",
        "",
        "tests/test_recordable.py -k 'did_not_teach'",
    ),
    Mutant(
        "recorded: a teacher is replaced under its students",
        "repro/recordable.py",
        "    if again and len(beside) > 1:",
        "    if False:",
        "tests/test_recordable.py -k 'did_not_teach'",
    ),
    Mutant(
        "recorded: fewer runs replace an archive",
        "repro/recordable.py",
        "    if lost:\n",
        "    if False:\n",
        "tests/test_recordable.py -k 'fewer_runs'",
    ),
    Mutant(
        "taken: what was measured is left behind",
        "repro/taken.py",
        '        for file in folder.glob("measured/*/*"):\n',
        "        for file in ():\n",
        "tests/test_taken.py -k measured",
    ),
    Mutant(
        "taken: a record does not say that it was",
        "repro/taken.py",
        '            (folder / "records" / k / TAKEN).write_text(path.name)\n',
        "",
        "tests/test_taken.py -k where_it_came_from",
    ),
    Mutant(
        "campaign: out of time it tells nothing",
        "repro/campaign.py",
        "                if begun:\n",
        "                if False:\n",
        "tests/test_campaign.py -k time_is_up",
    ),
    Mutant(
        "measured: without images nothing is read",
        "repro/analysis/measuring.py",
        "    if here and not _has_images(what):",
        "    if False:",
        "tests/analysis/test_measured.py -k without_images",
    ),
    Mutant(
        "C1: teachers by the metric of the students",
        "repro/analysis/evidence.py",
        "row[TAUGHT] for row in rows",
        'row["top1_last10"] for row in rows',
        "tests/analysis/test_evidence.py -k weights_that_taught",
    ),
    Mutant(
        "tuned: CMKD as it is beside tuned methods",
        "repro/analysis/tuning.py",
        "TUNED_LEAD: {m: (tuned[LEADER], tuned[m]) for m in others}",
        "TUNED_LEAD: {m: (LEADER, tuned[m]) for m in others}",
        "tests/analysis/test_tuning.py -k paired",
    ),
    Mutant(
        "sweep: a method of one teacher alone is shown",
        "repro/grid.py",
        "if part not in SWEEPS or len(pairs[method]) > 1]",
        "if pairs[method]]",
        "tests/test_results.py -k sweep",
    ),
)
