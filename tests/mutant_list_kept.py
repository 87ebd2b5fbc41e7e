"""Faults to plant in what is kept: records, plan, identity, tracking."""

from mutant_list import Mutant

KEEPING = (
    # records, plan, identity
    Mutant(
        "history: cut one epoch late",
        "repro/records.py",
        "self.history()[:epochs]",
        "self.history()[: epochs + 1]",
        "tests/jobs -k killed",
    ),
    Mutant(
        "checkpoint: the next epoch is the last one",
        "repro/jobs.py",
        "self._checkpoint(report.epoch + 1)",
        "self._checkpoint(report.epoch)",
        "tests/jobs -k 'killed or finished_record'",
    ),
    Mutant(
        "checkpoint: none at the end",
        "repro/jobs.py",
        "if last or time.monotonic()",
        "if time.monotonic()",
        "tests/jobs -k distance",
    ),
    Mutant(
        "resume: a checkpoint ahead of the history is taken",
        "repro/resume.py",
        "if next_epoch <= epochs:",
        "if True:",
        "tests/test_resume.py -k ahead",
    ),
    Mutant(
        "jobs: FINISHED before the weights",
        "repro/jobs.py",
        "        save_half(student.model, record.weights)\n",
        '        self._close(student, "FINISHED", "")\n'
        "        save_half(student.model, record.weights)\n",
        "tests/jobs -k after_everything",
    ),
    Mutant(
        "jobs: the mean of the last ten is of nine",
        "repro/jobs.py",
        "tail = top1[-10:]",
        "tail = top1[-9:]",
        "tests/jobs -k final_metrics",
    ),
    Mutant(
        "jobs: a failed student counts as stopped",
        "repro/jobs.py",
        'self._close(student, "FAILED", reason)',
        'self._close(student, "STOPPED", reason)',
        "tests/jobs -k fails",
    ),
    Mutant(
        "plan: students before their teachers",
        "repro/plan.py",
        "for depth in sorted(waves))",
        "for depth in sorted(waves, reverse=True))",
        "tests/test_plan.py",
    ),
    Mutant(
        "plan: members at different epochs share a cohort",
        "repro/plan.py",
        "run.precision, next_epoch.get(key(run), 0)",
        "run.precision",
        "tests/test_plan.py",
    ),
    Mutant(
        "key: depends on the method's name",
        "repro/spec.py",
        '    del data["method"]\n',
        "",
        "tests/test_spec.py",
    ),
    Mutant(
        "key: a baseline for every teacher",
        "repro/spec.py",
        "if run.teacher and uses_teacher(run.loss) else None",
        "if run.teacher else None",
        "tests/test_spec.py",
    ),
    # tracking
    Mutant(
        "tracking: epochs are logged again after a resume",
        "repro/tracking.py",
        "fresh = history[self.logged[record.key] :]",
        "fresh = history",
        "tests/tracking -k again",
    ),
    Mutant(
        "tracking: unfinished runs are results",
        "repro/tracking.py",
        "\"tags.complete = 'true'\"",
        "\"tags.key != ''\"",
        "tests/tracking -k unfinished",
    ),
)
